//! candle-core's `tests/quantized_tests.rs`, from the registry's source.
#![allow(warnings, clippy::all)] // not ours to lint

extern crate soft_metal as _;
include!(concat!(env!("OUT_DIR"), "/quantized_tests.rs"));
