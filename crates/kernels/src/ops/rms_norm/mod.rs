//! Root-mean-square normalisation (Zhang, Sennrich 2019, <https://arxiv.org/abs/1910.07467>) over
//! the last dimension: `y = x * rstd * weight` with `rstd = 1 / sqrt(mean(x^2) + eps)`.
//!
//! `x` is `(.., D)`, `weight` is `(D)`; statistics in float32, result in the dtype of `x`.
//!
//! Backward: with `g = dy * weight`, `dx = rstd * (g - x * rstd^2 * mean(g * x))` and
//! `dweight = sum over rows of dy * x * rstd`, each only when its input is tracked. `rstd` is
//! computed again: its sum runs beside the mean's.

#[cfg(any(test, feature = "testkit"))]
pub mod cases;
#[cfg(any(test, feature = "testkit"))]
pub mod check;
mod cpu;
#[cfg(any(target_vendor = "apple", soft_metal))]
mod metal;
mod node;
mod reference;

use crate::path::{self, Path};
use crate::tape::Record;
use crate::{Error, Result, elementwise};
use candle_core::Tensor;

/// `x * weight / sqrt(mean(x^2) + eps)`, the mean over the last dimension.
///
/// # Errors
/// When `weight` does not have the size of the last dimension of `x`.
pub fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    check_weight(x, weight)?;
    match path::choose("rms_norm", &[x, weight]) {
        Path::Kernel => Ok(x.record2(weight, node::RmsNorm::new(eps))?),
        Path::Reference => reference::forward(x, weight, eps),
    }
}

/// `x + residual` and the [`rms_norm`] of that sum, in one pass over memory.
///
/// # Errors
/// When `residual` does not have the shape and dtype of `x`, or `weight` not the size of its last
/// dimension.
pub fn rms_norm_residual(
    x: &Tensor,
    residual: &Tensor,
    weight: &Tensor,
    eps: f64,
) -> Result<(Tensor, Tensor)> {
    check_weight(x, weight)?;
    if residual.dims() != x.dims() || residual.dtype() != x.dtype() {
        let expected = format!("{:?} of {:?}", x.dims(), x.dtype());
        return Err(Error::shape(
            "rms_norm_residual",
            "residual",
            expected,
            residual,
        ));
    }
    match path::choose("rms_norm", &[x, residual, weight]) {
        Path::Kernel => Ok(node::with_residual(x, residual, weight, eps)?),
        Path::Reference => {
            let sum = elementwise::add(x, residual)?;
            let normed = reference::forward(&sum, weight, eps)?;
            Ok((sum, normed))
        }
    }
}

fn check_weight(x: &Tensor, weight: &Tensor) -> Result<()> {
    let width = x.dims().last().copied().unwrap_or(0);
    if weight.dims() != [width] {
        let expected = format!("({width})");
        return Err(Error::shape("rms_norm", "weight", expected, weight));
    }
    Ok(())
}
