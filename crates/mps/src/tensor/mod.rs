//! Products for candle tensors.
//!
//! On an Apple GPU the plans of this crate are encoded for it; on the CPU the same plans run in the
//! [interpreter](crate::interp), which is exact and slow: it is there for tests. Every operation is
//! differentiable in every input that is tracked.

mod cpu;
mod error;
mod gradients;
mod matmul;
#[cfg(any(target_vendor = "apple", soft_metal))]
mod metal;
mod operand;
mod run;
mod shapes;
mod softmax;

pub use error::{Error, Result};
pub use matmul::{MatMulOptions, MpsMatMul};
pub use run::Room;
pub use softmax::mps_softmax;
#[cfg(any(target_vendor = "apple", soft_metal))]
pub(crate) use {matmul::Product, softmax::soft_max};

#[cfg(test)]
mod tests;
