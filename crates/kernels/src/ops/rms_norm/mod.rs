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
mod reference;

use crate::graph::elementwise;
use crate::graph::path::{Devices, KernelFn, metal};
use crate::graph::{Gradients, Kernel, Operation};
use crate::{Error, Result};
use candle_core::Tensor;

const DEVICES: Devices<KernelFn<RmsNorm, 2>> = Devices {
    cpu: Some(cpu::Cpu::run),
    metal: metal!(metal::Metal::run),
    cuda: None,
};

const WITH_RESIDUAL: Devices<KernelFn<WithResidual, 3, 2>> = Devices {
    cpu: Some(cpu::Cpu::run),
    metal: metal!(metal::Metal::run),
    cuda: None,
};

/// `x * weight / sqrt(mean(x^2) + eps)`, the mean over the last dimension.
///
/// # Errors
/// When `weight` does not have the size of the last dimension of `x`.
pub fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    check_weight(x, weight)?;
    match DEVICES.kernel("rms_norm", x, [weight]) {
        Some(run) => run(RmsNorm::new(eps), [x, weight]).map(|[y]| y),
        None => reference::forward(x, weight, eps),
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
    match WITH_RESIDUAL.kernel("rms_norm_residual", x, [residual, weight]) {
        Some(run) => {
            let [sum, normed] = run(WithResidual(RmsNorm::new(eps)), [x, residual, weight])?;
            Ok((sum, normed))
        }
        None => {
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

/// The norm of `x` with `weight`.
struct RmsNorm {
    eps: f32,
}

impl RmsNorm {
    fn new(eps: f64) -> Self {
        Self { eps: eps as f32 }
    }
}

impl Operation for RmsNorm {
    fn name(&self) -> &'static str {
        "rms_norm"
    }
}

/// The sum of `x` and `residual`, and its norm with `weight`.
struct WithResidual(RmsNorm);

impl Operation for WithResidual {
    fn name(&self) -> &'static str {
        "rms_norm_residual"
    }
}

impl WithResidual {
    /// The gradients of `x`, `residual` and the weight, from that of the sum and what comes through
    /// its norm: gradients of the sum and of the weight.
    fn gradients(
        dsum: Option<&Tensor>,
        [through_norm, dweight]: Gradients<2>,
    ) -> Result<Gradients<3>> {
        let dx = match (dsum, through_norm) {
            (Some(dsum), Some(through_norm)) => Some(elementwise::add(dsum, &through_norm)?),
            (dsum, through_norm) => through_norm.or(dsum.cloned()),
        };
        Ok([dx.clone(), dx, dweight])
    }
}
