//! Root-mean-square normalisation (Zhang, Sennrich 2019, <https://arxiv.org/abs/1910.07467>) over
//! the last dimension: `y = x * rstd * weight` with `rstd = 1 / sqrt(mean(x^2) + eps)`.
//!
//! `x` is `(.., D)`, `weight` is `(D)`; statistics in float32, result in the dtype of `x`.
//!
//! Backward: with `g = dy * weight`, `dx = rstd * (g - x * rstd^2 * mean(g * x))` and
//! `dweight = sum over rows of dy * x * rstd`, each only when its input is tracked. `rstd` is kept
//! from forward.

#[cfg(any(test, feature = "testkit"))]
pub mod cases;
#[cfg(any(test, feature = "testkit"))]
pub mod check;
mod cpu;
mod reference;

use crate::path::{self, Path};
use crate::tape::Record;
use crate::{Error, Result};
use candle_core::Tensor;

/// `x * weight / sqrt(mean(x^2) + eps)`, the mean over the last dimension.
///
/// # Errors
/// When `weight` does not have the size of the last dimension of `x`.
pub fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    let width = x.dims().last().copied().unwrap_or(0);
    if weight.dims() != [width] {
        return Err(Error::shape(
            "rms_norm",
            "weight",
            format!("({width})"),
            weight,
        ));
    }
    match path::choose("rms_norm", &[x, weight]) {
        Path::Kernel => Ok(x.record2(weight, cpu::RmsNorm::new(eps))?),
        Path::Reference => reference::forward(x, weight, eps),
    }
}
