//! Plans for the matrix-vector products of candle-metal-kernels.

mod build;
mod shape;

use candle_core::DType;

use super::Binding;

/// One dispatch of candle's `gemv` or `gemv_t` (`Source::Gemv`): a matrix and a vector, batched.
///
/// The facts are those of candle-metal-kernels 0.11.1: names and argument table of
/// `metal_src/gemv.metal`, grid and group of `kernels/mlx_gemm.rs`. There are no function
/// constants. Sums are accumulated in float32. With an addend a sum, alpha and beta are rounded to
/// the type of the operands first, and so is every step after that.
#[derive(Debug, Clone, PartialEq)]
pub struct GemvPlan {
    /// Type of all operands.
    pub dtype: DType,
    /// Name of the function: `{gemv|gemv_t}_{type}_bm{}_bn{}_sm{}_sn{}_tm{}_tn{}_nc{0|1}_axpby{0|1}`.
    pub kernel: String,
    /// Buffers: the matrix at 0, the vector at 1, the addend at 2 if there is one, the result at 3.
    pub bindings: Vec<Binding>,
    /// Value at index 4: length of the vector.
    pub in_vec_size: i32,
    /// Value at index 5: length of the result; results of a batch follow each other closely.
    pub out_vec_size: i32,
    /// Value at index 6: elements between the stored rows of the matrix.
    pub matrix_ld: i32,
    /// Value at index 7: factor of the product, unused without an addend.
    pub alpha: f32,
    /// Value at index 8: factor of the addend, unused without one.
    pub beta: f32,
    /// Values at index 10, whose count is the value at index 9; always at least one.
    pub batch_shape: Vec<i32>,
    /// Values at index 11: elements between neighbours of each batch dimension of the vector.
    pub vector_batch_strides: Vec<i64>,
    /// Values at index 12: the same of the matrix.
    pub matrix_batch_strides: Vec<i64>,
    /// Values at index 13: the same of the addend.
    pub addend_batch_strides: Vec<i64>,
    /// Value at index 14: elements between neighbours of the addend; 0 for one that serves all.
    pub addend_stride: i32,
    /// Threadgroups: along the result, 1, batch.
    pub grid: [usize; 3],
    /// Threads of a threadgroup: 32, bn, bm.
    pub group: [usize; 3],
}

/// Indices of what is bound.
pub mod index {
    /// The matrix.
    pub const MATRIX: usize = 0;
    /// The vector.
    pub const VECTOR: usize = 1;
    /// What is added.
    pub const ADDEND: usize = 2;
    /// What is written.
    pub const RESULT: usize = 3;
    /// `in_vec_size`, an `int`.
    pub const IN_VEC_SIZE: usize = 4;
    /// `out_vec_size`, an `int`.
    pub const OUT_VEC_SIZE: usize = 5;
    /// `matrix_ld`, an `int`.
    pub const MATRIX_LD: usize = 6;
    /// `alpha`, a `float`.
    pub const ALPHA: usize = 7;
    /// `beta`, a `float`.
    pub const BETA: usize = 8;
    /// Number of batch dimensions, an `int`.
    pub const BATCH_NDIM: usize = 9;
    /// `batch_shape`, `int`s.
    pub const BATCH_SHAPE: usize = 10;
    /// `vector_batch_strides`, 64-bit integers.
    pub const VECTOR_BATCH_STRIDES: usize = 11;
    /// `matrix_batch_strides`, 64-bit integers.
    pub const MATRIX_BATCH_STRIDES: usize = 12;
    /// `addend_batch_strides`, 64-bit integers.
    pub const ADDEND_BATCH_STRIDES: usize = 13;
    /// `addend_stride`, an `int`.
    pub const ADDEND_STRIDE: usize = 14;
}
