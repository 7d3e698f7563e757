//! Plans against naive strided loops, through the interpreter.

#![allow(clippy::expect_used, reason = "helpers of tests are tests")]

mod calibration;
mod faults;
mod gemm;
mod gemv;
mod layouts;
mod limits;
mod matmul;
mod naive;
mod ndarray;
mod policy;
mod shapes;
mod softmax;
mod split;
mod steel;
mod steel_faults;
