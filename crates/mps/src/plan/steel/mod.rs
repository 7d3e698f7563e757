//! Plans for the GEMM of candle-metal-kernels.

mod build;
mod tile;

use candle_core::DType;

use super::Binding;

pub use tile::{GpuSize, MAX_ADDEND_ROOM_ROWS};

/// One dispatch of candle's GEMM (`Source::Gemm`, "Steel" in MLX): `D = alpha * A B + beta * C`.
///
/// The facts are those of candle-metal-kernels 0.11.1: names, argument tables and parameter blocks
/// of `metal_src/mlx_gemm.metal`, grid and group of `kernels/mlx_gemm.rs`. Sums are accumulated in
/// float32 and rounded to the type of the operands once, after the addend.
#[derive(Debug, Clone, PartialEq)]
pub struct SteelPlan {
    /// Type of all four matrices.
    pub dtype: DType,
    /// Name of the function: `gemm_{nn|nt|tn|tt}_{type}_{type}_{BM}_{BN}_{BK}_{WM}_{WN}`.
    pub kernel: String,
    /// Function constants by index; see [`constant`].
    pub constants: [(usize, bool); 7],
    /// Buffers: A at 0, B at 1, C at 2 if there is an addend, D at 3.
    pub bindings: Vec<Binding>,
    /// Bytes at index 4.
    pub params: GemmParams,
    /// Bytes at index 5, if there is an addend.
    pub addend: Option<GemmAddMmParams>,
    /// Values at index 6, always at least one: the instantiations declare the argument whether or
    /// not there is a batch.
    pub batch_shape: Vec<i32>,
    /// Values at index 7: elements between neighbours of each batch dimension, first all of A's,
    /// then B's, then, if there is an addend, C's.
    pub batch_strides: Vec<u64>,
    /// Threadgroups: columns of tiles, rows of tiles, matrices.
    pub grid: [usize; 3],
    /// Threads of a threadgroup: 32, WN, WM.
    pub group: [usize; 3],
}

/// Indices of the function constants.
pub mod constant {
    /// The batch is walked by `batch_shape` and `batch_strides` rather than by `params`.
    pub const HAS_BATCH: usize = 10;
    /// C and its parameters are bound.
    pub const USE_OUT_SOURCE: usize = 100;
    /// Alpha and beta are applied; otherwise C is added as it is.
    pub const DO_AXPBY: usize = 110;
    /// M is a multiple of BM.
    pub const ALIGN_M: usize = 200;
    /// N is a multiple of BN.
    pub const ALIGN_N: usize = 201;
    /// K is a multiple of BK.
    pub const ALIGN_K: usize = 202;
    /// Matrices are chosen by index; never used here.
    pub const DO_GATHER: usize = 300;
}

/// Indices of what is bound.
pub mod index {
    /// A.
    pub const LEFT: usize = 0;
    /// B.
    pub const RIGHT: usize = 1;
    /// C.
    pub const ADDEND: usize = 2;
    /// D.
    pub const RESULT: usize = 3;
    /// [`GemmParams`](super::GemmParams).
    pub const PARAMS: usize = 4;
    /// [`GemmAddMmParams`](super::GemmAddMmParams).
    pub const ADDEND_PARAMS: usize = 5;
    /// `batch_shape`.
    pub const BATCH_SHAPE: usize = 6;
    /// `batch_strides`.
    pub const BATCH_STRIDES: usize = 7;
}

/// `GEMMParams` of the kernel, byte for byte; strides are in elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct GemmParams {
    /// Rows of the result.
    pub m: i32,
    /// Columns of the result.
    pub n: i32,
    /// Inner size.
    pub k: i32,
    /// Between the stored rows of A.
    pub lda: i32,
    /// Between the stored rows of B.
    pub ldb: i32,
    /// Between the rows of D.
    pub ldd: i32,
    /// Tiles in a row of D.
    pub tiles_n: i32,
    /// Tiles in a column of D.
    pub tiles_m: i32,
    /// Between the matrices of A, where `HAS_BATCH` is off.
    pub batch_stride_a: u64,
    /// Between the matrices of B, where `HAS_BATCH` is off.
    pub batch_stride_b: u64,
    /// Between the matrices of D, always.
    pub batch_stride_d: u64,
    /// Tiles are walked as they come.
    pub swizzle_log: i32,
    /// Whole blocks of BK in K.
    pub gemm_k_iterations_aligned: i32,
    /// Length of `batch_shape`.
    pub batch_ndim: i32,
}

/// `GEMMAddMMParams` of the kernel, byte for byte; strides are in elements.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct GemmAddMmParams {
    /// Between the rows of C; 0 for a row that serves all.
    pub ldc: i32,
    /// Between the columns of C; 0 for a column that serves all.
    pub fdc: i32,
    /// Between the matrices of C, where `HAS_BATCH` is off.
    pub batch_stride_c: u64,
    /// Factor of the product.
    pub alpha: f32,
    /// Factor of C.
    pub beta: f32,
}

const _: () = assert!(size_of::<GemmParams>() == 72);
const _: () = assert!(size_of::<GemmAddMmParams>() == 24);
