//! candle-core's `tests/grad_tests.rs`, from the registry's source.
#![allow(warnings, clippy::all)] // not ours to lint

extern crate soft_metal as _;
include!(concat!(env!("OUT_DIR"), "/grad_tests.rs"));
