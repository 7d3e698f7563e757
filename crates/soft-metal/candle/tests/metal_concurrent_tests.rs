//! candle-core's `tests/metal_concurrent_tests.rs`, from the registry's source.
#![allow(warnings, clippy::all)] // not ours to lint

extern crate soft_metal as _;

/// In the names of its tests, so that the filter `metal` finds them.
mod metal {
    include!(concat!(env!("OUT_DIR"), "/metal_concurrent_tests.rs"));
}
