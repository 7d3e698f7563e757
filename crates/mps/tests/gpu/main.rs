//! Plans on a GPU against the interpreter, beside candle's own work: on a Mac, and in
//! crates/soft-metal on Metal in software. On other machines nothing is here.
#![cfg(any(target_vendor = "apple", soft_metal))]
#![allow(clippy::expect_used, reason = "helpers of tests are tests")]

mod calibrate;
mod engines;
#[allow(dead_code, reason = "the tests of plans use all of it")]
#[path = "../plans/layouts.rs"]
mod layouts;
mod lifecycle;
mod ordering;
mod random;
mod softmax;
mod support;
mod tensor;
