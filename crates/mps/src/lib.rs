//! Matrix work on Apple GPUs for candle tensors, described as plans.
//!
//! Metal Performance Shaders (MPS) aborts the process on an argument it does not like, and returns
//! wrong numbers without a word in a few known regions of sizes; candle's own kernels are handed
//! sizes and strides and trust them. So every decision about shapes, strides, offsets and batches
//! is made here, in portable code that is tested without a GPU, and its outcome is data: a plan.
//! What encodes a plan for a GPU copies numbers and does no arithmetic.
//!
//! ```text
//!   tensor::{MpsMatMul, MpsSoftMax}    for candle tensors, with gradients
//!       |
//!   plan::View                         where a tensor lies in its buffer, bounds checked
//!       |
//!   plan::Gemm                         left, right, addend, result, alpha, beta
//!       |
//!   policy::Policy                     which engine, by facts and measurements
//!       |
//!       +-- SteelPlan                         candle's GEMM, in candle's encoder
//!       +-- GemvPlan                          candle's matrix-vector products
//!       +-- NdArrayMatrixMultiplication       calls of MPSNDArrayMatrixMultiplication
//!       +-- MatrixMultiplication              calls of MPSMatrixMultiplication
//!   plan::MatrixSoftMax                       calls of MPSMatrixSoftMax / MPSMatrixLogSoftMax
//!       |             \
//!       |              plan::Reject    the value that does not fit, and its limit
//!       |
//!   interp::Host                       replays a plan on host memory, an access out of bounds is an error
//!   apple::encode                      encodes it for the GPU; `metal` does both for storages
//! ```
//!
//! # Example
//!
//! ```
//! use metal_candle_mps::interp::Host;
//! use metal_candle_mps::plan::{DataType, MatrixMultiplication, Product, Slot, View};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
//! let left = View::new(DataType::Float32, 0, &[2, 3], &[3, 1], 24)?;
//! let right = View::new(DataType::Float32, 0, &[3, 2], &[2, 1], 24)?;
//! let result = View::new(DataType::Float32, 0, &[2, 2], &[2, 1], 16)?;
//! let product = Product { left: &left, right: &right, result: &result, alpha: 1.0, beta: 0.0 };
//! let plan = MatrixMultiplication::plan(&product)?;
//!
//! let mut host = Host::default();
//! host.insert(Slot::Left, bytes(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
//! host.insert(Slot::Right, bytes(&[7.0, 8.0, 9.0, 10.0, 11.0, 12.0]));
//! host.insert(Slot::Result, vec![0; 16]);
//! host.multiply(&plan)?;
//! assert_eq!(host.bytes(Slot::Result), Some(&bytes(&[58.0, 64.0, 139.0, 154.0])[..]));
//! # Ok(())
//! # }
//! ```
//!
//! # Not seen on a Mac
//!
//! The plans follow Apple's headers and public reports. None of the following has been observed on
//! Apple hardware by this crate:
//!
//! - that `MPSMatrixMultiplication` leaves the old result unread when beta is 0 (the interpreter
//!   does);
//! - which alignment of offsets and rows the kernels need ([`plan::limits::HALF_ALIGNMENT_BYTES`]
//!   is a cautious guess);
//! - whether alpha and beta are rounded to the result's type before use (the interpreter keeps
//!   them in f64), and how wide MPS accumulates f16;
//! - that origins count rows in `x` and columns in `y` for products as they do for soft-max, and
//!   that the transposition in an array's descriptor acts as it does in PyTorch's `Linear.mm`;
//! - what the soft-max kernels return for a row of `-inf` (the interpreter follows the formula,
//!   which gives NaN);
//! - candle's GEMM with an addend, which candle itself never switches on: function constants 100 and
//!   110, and an addend that is the result;
//! - whether the compiler fuses multiplications and additions of `gemv`'s last step (the interpreter
//!   rounds after each);
//! - where the known-wrong regions of [`plan::limits`] end on each GPU generation and system.

#[cfg(any(target_vendor = "apple", soft_metal))]
pub mod apple;
pub mod interp;
#[cfg(any(target_vendor = "apple", soft_metal))]
pub mod metal;
pub mod order;
pub mod plan;
pub mod policy;
pub mod tensor;
