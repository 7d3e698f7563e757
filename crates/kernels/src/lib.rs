//! Fused, differentiable operations for candle tensors.
//!
//! Every operation is one folder under [`ops`]: its definition in plain candle operations
//! (`reference.rs`), its kernel for the CPU (`cpu.rs`), the shapes that tests and benchmarks share
//! (`cases.rs`), and the formula over f64 that all implementations are checked against
//! (`check.rs`). Each one is differentiable in every input that is tracked; an input that is not
//! tracked, such as a frozen weight, has no gradient in candle's store.
//!
//! Tensors are f32, f16 or bf16 in storage and float32 inside; f64 stays f64. The kernels take any
//! layout. Everything that they do not cover, another device or f64, is computed by the reference,
//! which is logged once at debug level. No bit of a result depends on the number of threads.
//!
//! With the feature `testkit` the checks (`testkit`), the cases and `ops::CHECKS`, all of them by name,
//! are public.
//!
//! Letters in shape comments: `B` batch, `T` tokens, `H` heads, `G` key-value heads, `D` width of
//! a row (of a head in attention), `V` vocabulary, `R` LoRA rank, `M`, `N`, `K` rows, columns and
//! inner size of a product.

#[cfg(any(test, feature = "testkit"))]
pub mod case;
mod error;
mod graph;
mod host;
#[cfg(any(target_vendor = "apple", soft_metal))]
mod metal;
pub mod ops;
mod random;
mod storage;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;
mod transfer;
mod value;
pub mod weight;

pub use error::{Error, Result};
pub use graph::tape::{self, Tape};
#[cfg(all(feature = "testkit", any(target_vendor = "apple", soft_metal)))]
pub use metal::compile_msl;
#[cfg(any(test, feature = "testkit"))]
pub use metal_candle_cpu::ceiling;
pub use metal_candle_cpu::{simd, threads};
pub use ops::adamw::{self, AdamW};
pub use ops::attention::{
    AttentionMask, AttentionScores, AttentionSpan, CachedSequence, attention, cached_attention,
};
pub use ops::clamped_glu::{Clamp, clamped_glu};
pub use ops::experts::{Assignment, combine, dispatch};
pub use ops::glu::{Activation, glu};
pub use ops::linear::linear;
pub use ops::linear_cross_entropy::{
    IGNORED_TARGET, linear_cross_entropy, linear_cross_entropy_rows,
};
pub use ops::linears::{Layer, gated_linear, linear_onto, linears};
pub use ops::lora_linear::{LoraWeights, lora_linear};
pub use ops::matmul::{MatMulOptions, matmul, matmul_with};
pub use ops::most_likely::most_likely;
pub use ops::rms_norm::{rms_norm, rms_norm_residual};
pub use ops::rope::{CacheSlot, RopePairs, rope, rope_append, rope_pair};
pub use ops::routing::{Routing, SoftmaxOver, routing};
pub use ops::softcap::softcap;
pub use ops::softmax::softmax;
pub use ops::squares::{sum_and_squares, sums_of_squares};
pub use random::{Dropout, mix_seed, uniform};
pub use transfer::{download, upload};
pub use weight::Weight;

/// Lets go of what is kept for as long as the process lives: compiled Metal kernels, and what
/// belongs to GPU devices that are gone. It is made again where it is needed.
pub fn release() {
    #[cfg(any(target_vendor = "apple", soft_metal))]
    metal::release();
}
