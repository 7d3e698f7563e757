//! The operations on the CPU.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "tests")]

mod errors;
mod gradients;
mod matmul;
mod onto;
mod softmax;
