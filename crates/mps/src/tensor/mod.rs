//! Products and soft-max for candle tensors.
//!
//! On an Apple GPU the plans of this crate are encoded for it; on the CPU the same plans run in the
//! [interpreter](crate::interp), which is exact and slow: it is there for tests. Every operation is
//! differentiable in every input that is tracked.

mod backend;
mod cpu;
mod error;
mod gradients;
mod held;
mod layouts;
mod matmul;
#[cfg(any(target_vendor = "apple", soft_metal))]
mod metal;
mod softmax;
mod view;

pub use error::{Error, Result};
#[cfg(any(target_vendor = "apple", soft_metal))]
pub(crate) use held::Room;
#[cfg(any(target_vendor = "apple", soft_metal))]
pub(crate) use matmul::Product;
pub use matmul::{MatMulOptions, MpsMatMul};
pub use softmax::MpsSoftMax;
pub use view::view_of;

#[cfg(test)]
mod tests;
