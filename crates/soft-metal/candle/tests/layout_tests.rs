//! candle-core's `tests/layout_tests.rs`, from the registry's source.
#![allow(warnings, clippy::all)] // not ours to lint

extern crate soft_metal as _;
include!(concat!(env!("OUT_DIR"), "/layout_tests.rs"));
