//! `softmax(x)_i = exp(x_i - max(x)) / sum_j exp(x_j - max(x))` over the last dimension.
//!
//! `x` is `(.., D)`, float32 inside, result in the dtype of `x`. An entry of -inf has probability
//! zero; a row of -inf only is NaN, as in PyTorch.
//!
//! Backward: `dx = y * (dy - sum(dy * y))`, from the result; nothing else is kept.

#[cfg(any(test, feature = "testkit"))]
pub mod cases;
#[cfg(any(test, feature = "testkit"))]
pub mod check;
mod cpu;
pub(crate) mod reference;

use crate::Result;
use crate::path::{self, Path};
use crate::tape::Record;
use candle_core::Tensor;

/// Softmax over the last dimension.
///
/// # Errors
/// When `x` has no dimension.
pub fn softmax(x: &Tensor) -> Result<Tensor> {
    match path::choose("softmax", &[x]) {
        Path::Kernel => Ok(x.record1(cpu::Softmax)?),
        Path::Reference => reference::forward(x),
    }
}
