//! Parts that kernels on a CPU are made of, without a tensor: the level of vector instructions, chosen when
//! the program runs ([`simd`]), threads that stay awake between operations ([`threads`]), loops a
//! register at a time ([`vector`]), functions of registers ([`math`]), numbers of every float dtype
//! ([`floats`]), and products of matrices ([`gemm`]).
//!
//! No bit of a result depends on the number of threads.

#[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
mod amx;
pub mod ceiling;
pub mod floats;
pub mod gemm;
pub mod math;
pub mod simd;
pub mod threads;
pub mod vector;
