//! candle-core's `tests/matmul_tests.rs`, from the registry's source.

extern crate soft_metal as _;
include!(concat!(env!("CANDLE_CORE_TESTS"), "/matmul_tests.rs"));
