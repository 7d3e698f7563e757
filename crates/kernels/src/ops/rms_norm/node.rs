//! The norm as operations of candle's graph, whatever the device.

use super::cpu;
#[cfg(any(target_vendor = "apple", soft_metal))]
use super::metal;
use crate::path::by_device;
use crate::tape::Record;
#[cfg(any(target_vendor = "apple", soft_metal))]
use candle_core::MetalStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Storage, Tensor};
use std::sync::{Mutex, PoisonError};

pub(super) struct RmsNorm {
    eps: f32,
    /// The result, where it is known already.
    known: Known,
}

impl RmsNorm {
    pub(super) fn new(eps: f64) -> Self {
        let (eps, known) = (eps as f32, Known::default());
        Self { eps, known }
    }
}

/// A result that was computed with another one, until it is asked for.
#[derive(Default)]
struct Known(Mutex<Option<Storage>>);

impl Known {
    fn new(storage: Storage) -> Self {
        Self(Mutex::new(Some(storage)))
    }

    fn take(&self) -> Option<Storage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// `x + residual` and its norm in one pass. The graph holds a sum and a norm of it, which find
/// their results computed.
pub(super) fn with_residual(
    x: &Tensor,
    residual: &Tensor,
    weight: &Tensor,
    eps: f64,
) -> Result<(Tensor, Tensor)> {
    let eps = eps as f32;
    let [sum, normed] = by_device!(x,
        cpu: cpu::with_residual(x, residual, weight, eps)?,
        metal: metal::with_residual(x, residual, weight, eps)?);
    let sum = x.record2(residual, Sum(Known::new(sum)))?;
    let known = Known::new(normed);
    let normed = sum.record2(weight, RmsNorm { eps, known })?;
    Ok((sum, normed))
}

/// A sum that is known.
struct Sum(Known);

impl CustomOp2 for Sum {
    fn name(&self) -> &'static str {
        "residual"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        layout: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        match self.0.take() {
            Some(Storage::Cpu(sum)) => Ok((sum, layout.shape().clone())),
            _ => candle_core::bail!("the sum was asked for twice"),
        }
    }

    #[cfg(any(target_vendor = "apple", soft_metal))]
    fn metal_fwd(
        &self,
        _: &MetalStorage,
        layout: &Layout,
        _: &MetalStorage,
        _: &Layout,
    ) -> Result<(MetalStorage, Shape)> {
        match self.0.take() {
            Some(Storage::Metal(sum)) => Ok((sum, layout.shape().clone())),
            _ => candle_core::bail!("the sum was asked for twice"),
        }
    }

    fn bwd(
        &self,
        x: &Tensor,
        residual: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let tracked = |t: &Tensor| t.track_op().then(|| dy.clone());
        Ok((tracked(x), tracked(residual)))
    }
}

impl CustomOp2 for RmsNorm {
    fn name(&self) -> &'static str {
        "rms_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let y = match self.known.take() {
            Some(Storage::Cpu(y)) => y,
            _ => cpu::forward((x, x_layout), (weight, weight_layout), self.eps)?,
        };
        Ok((y, x_layout.shape().clone()))
    }

    #[cfg(any(target_vendor = "apple", soft_metal))]
    fn metal_fwd(
        &self,
        x: &MetalStorage,
        x_layout: &Layout,
        weight: &MetalStorage,
        weight_layout: &Layout,
    ) -> Result<(MetalStorage, Shape)> {
        let y = match self.known.take() {
            Some(Storage::Metal(y)) => y,
            _ => metal::forward((x, x_layout), (weight, weight_layout), self.eps)?,
        };
        Ok((y, x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        by_device!(x,
            cpu: cpu::backward(x, weight, dy, self.eps),
            metal: metal::backward(x, weight, dy, self.eps))
    }
}
