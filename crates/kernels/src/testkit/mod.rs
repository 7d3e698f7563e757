//! The checks that every operation passes, on any device.
//!
//! A [`Problem`] holds an operation's inputs, its implementations and its `truth`: the formula in
//! loops over f64, written apart from every implementation. [`check`] asserts, for one dtype:
//!
//! - the result against the truth, on inputs that are rounded to the dtype first;
//! - the gradient of every input, for a random upstream gradient, against central differences of
//!   the truth: element by element on small inputs, along random directions on large ones;
//! - that a gradient reaches every tracked input, is the same when it is the only tracked one, and
//!   that no gradient at all is computed for anything else.
//!
//! Inputs may be views; the memory around a view is NaN. With `metal_candle_memory::Poison` as its allocator a test
//! program also sees fresh memory as NaN, so that an element that was never written is an error.

mod agree;
mod array;
mod cases;
mod check;
mod differences;
mod failure;
mod graph;
mod input;
#[cfg(test)]
mod tests;
mod tolerance;

pub use agree::agree;
pub use array::Array;
pub use cases::{check_all_cases, check_cases};
pub use check::{Implementation, Problem, Truth, check};
pub use failure::Failure;
pub use input::Input;
pub use tolerance::{Tolerance, tolerance};
