//! Plans of what to tell Metal Performance Shaders and candle's kernels, as plain data.
//!
//! A plan is made from [`View`]s and either describes the work completely or is a [`Reject`].
//! Strides are in elements and dimensions run from the slowest to the fastest, as in candle;
//! everything inside a finished plan is in the units of the Apple call that takes it.

mod axis;
mod binding;
mod engine;
mod gemm;
pub mod gemv;
pub mod limits;
mod matrix;
mod ndarray;
mod problem;
mod product;
mod reject;
pub mod scalar;
mod softmax;
mod split;
pub mod steel;
mod view;

pub use binding::{Access, Binding, Slot, ZERO_BYTES};
pub use engine::{Engine, Plan};
pub use gemm::Gemm;
pub use gemv::GemvPlan;
pub use matrix::Matrix;
pub use ndarray::NdArrayMultiplication;
pub use product::{Factor, MatrixKernel, MatrixMultiplication};
pub use reject::Reject;
pub use softmax::MatrixSoftMax;
pub use split::Split;
pub use steel::SteelPlan;
pub use view::View;
