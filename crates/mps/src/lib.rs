//! Matrix work on Apple GPUs for candle tensors, described as plans.
//!
//! Metal Performance Shaders (MPS) aborts the process on an argument it does not like, and returns
//! wrong numbers without a word in a few known regions of sizes; candle's own kernels are handed
//! sizes and strides and trust them. So every decision about shapes, strides, offsets and batches
//! is made here, in portable code that is tested without a GPU, and its outcome is data: a plan.
//! What encodes a plan for a GPU copies numbers and does no arithmetic.
//!
//! ```text
//!   tensor::MpsMatMul    for candle tensors, with gradients; `metal` for storages, and softmax
//!       |
//!   plan::View           where an operand lies in its buffer, bounds checked
//!       |
//!   plan::Gemm           left, right, addend, result, alpha, beta
//!       |
//!   policy::Policy       which engine, by facts and measurements
//!       |
//!       +-- SteelPlan                 candle's GEMM, in candle's encoder
//!       +-- GemvPlan                  candle's matrix-vector products
//!       +-- NdArrayMultiplication     calls of MPSNDArrayMatrixMultiplication
//!       +-- MatrixMultiplication      calls of MPSMatrixMultiplication
//!       +-- MatrixSoftMax             a call of MPSMatrixSoftMax
//!       |             \
//!       |              plan::Reject    the value that does not fit, and its limit
//!       |
//!   interp::Host         replays a plan on host memory, an access out of bounds is an error
//!   apple::encode        encodes it for the GPU
//! ```
//!
//! An operand has four types on its way: candle's storage and layout; a [`View`](plan::View); in a plan
//! a [`Matrix`](plan::Matrix), or a [`Binding`](plan::Binding) with the strides that the kernel is
//! told; Apple's object.
//!
//! # Example
//!
//! ```
//! use candle_core::DType;
//! use metal_candle_mps::interp::Host;
//! use metal_candle_mps::plan::{Gemm, MatrixMultiplication, Slot, View};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
//! let left = View::new(DType::F32, 0, &[2, 3], &[3, 1], 24)?;
//! let right = View::new(DType::F32, 0, &[3, 2], &[2, 1], 24)?;
//! let result = View::new(DType::F32, 0, &[2, 2], &[2, 1], 16)?;
//! let plan = MatrixMultiplication::plan(&Gemm::new(&left, &right, &result))?;
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
//! Plans follow Apple's headers and public reports; `docs/apple.md` of the repository lists what nobody has
//! seen on a Mac.

#[cfg(any(target_vendor = "apple", soft_metal))]
pub mod apple;
pub mod interp;
pub mod memory;
#[cfg(any(target_vendor = "apple", soft_metal))]
pub mod metal;
pub mod order;
pub mod plan;
pub mod policy;
pub mod tensor;
