//! candle-core's `tests/grad_tests.rs`, from the registry's source.

extern crate soft_metal as _;
include!(concat!(env!("CANDLE_CORE_TESTS"), "/grad_tests.rs"));
