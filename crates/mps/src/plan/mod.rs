//! Plans of what to tell Metal Performance Shaders, as plain data.
//!
//! A plan is made from [`View`]s and either describes the work completely or is a [`Reject`].
//! Strides are in elements and dimensions run from the slowest to the fastest, as in candle;
//! everything inside a finished plan is in the units of the Apple call that takes it.

mod batch;
mod binding;
mod descriptor;
mod dtype;
mod engine;
mod gemm;
pub mod gemv;
mod grid;
mod key;
pub mod limits;
mod matmul;
mod ndarray;
mod plane;
mod problem;
mod product;
mod reject;
pub mod scalar;
mod shape;
mod softmax;
pub mod steel;
mod view;

pub use binding::{Access, Binding};
pub use descriptor::{Matrix, MatrixDescriptor, Origin, Slot, ZERO_BYTES};
pub use dtype::DataType;
pub use engine::{Engine, Plan};
pub use gemm::Gemm;
pub use gemv::GemvPlan;
pub use key::KernelKey;
pub use matmul::{MatrixMultiplication, MatrixMultiplicationCall};
pub use ndarray::{NdArray, NdArrayMatrixMultiplication, NdArrayMatrixMultiplicationCall};
pub use product::Product;
pub use reject::Reject;
pub use softmax::{MatrixSoftMax, MatrixSoftMaxCall, SoftMaxKind};
pub use steel::SteelPlan;
pub use view::View;
