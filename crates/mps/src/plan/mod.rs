//! What to tell Metal Performance Shaders, as plain data.
//!
//! A plan is made from [`View`]s and either describes the work completely or is a [`Reject`].
//! Strides are in elements and dimensions run from the slowest to the fastest, as in candle;
//! everything inside a finished plan is in the units of the Apple call that takes it.

mod batch;
mod descriptor;
mod dtype;
mod grid;
mod key;
pub mod limits;
mod matmul;
mod ndarray;
mod plane;
mod product;
mod reject;
mod softmax;
mod view;

pub use descriptor::{Matrix, MatrixDescriptor, Origin, Slot};
pub use dtype::DataType;
pub use key::KernelKey;
pub use matmul::{MatrixMultiplication, MatrixMultiplicationCall};
pub use ndarray::{NdArray, NdArrayMatrixMultiplication, NdArrayMatrixMultiplicationCall};
pub use product::Product;
pub use reject::Reject;
pub use softmax::{MatrixSoftMax, MatrixSoftMaxCall, SoftMaxKind};
pub use view::View;
