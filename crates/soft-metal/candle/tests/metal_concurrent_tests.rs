//! candle-core's `tests/metal_concurrent_tests.rs`, from the registry's source.

extern crate soft_metal as _;
include!(concat!(env!("CANDLE_CORE_TESTS"), "/metal_concurrent_tests.rs"));
