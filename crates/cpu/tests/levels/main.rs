//! Parts of kernels at every level of vector instructions that the processor has.
#![allow(clippy::unwrap_used)]

mod ceiling;
mod gemm;
mod math;
mod simd;
mod table;
mod threads;
mod vector;
mod whole;
mod widen;

/// Fresh memory that cannot be mistaken for a result.
#[global_allocator]
static POISON: metal_candle_memory::Poison = metal_candle_memory::Poison;
