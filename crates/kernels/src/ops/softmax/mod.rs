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
#[cfg(any(target_vendor = "apple", soft_metal))]
mod metal;
pub(crate) mod reference;

use crate::Result;
use crate::path::{self, Path, by_device};
use crate::tape::Record;
use candle_core::{CpuStorage, CustomOp1, Layout, Result as CandleResult, Shape, Tensor};

/// Softmax over the last dimension.
///
/// # Errors
/// When `x` has no dimension.
pub fn softmax(x: &Tensor) -> Result<Tensor> {
    match path::choose("softmax", &[x]) {
        Path::Kernel => Ok(x.record1(Softmax)?),
        Path::Reference => reference::forward(x),
    }
}

struct Softmax;

impl CustomOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> CandleResult<(CpuStorage, Shape)> {
        cpu::forward(x, layout)
    }

    #[cfg(any(target_vendor = "apple", soft_metal))]
    fn metal_fwd(
        &self,
        x: &candle_core::MetalStorage,
        layout: &Layout,
    ) -> CandleResult<(candle_core::MetalStorage, Shape)> {
        metal::forward(x, layout)
    }

    fn bwd(&self, _: &Tensor, y: &Tensor, dy: &Tensor) -> CandleResult<Option<Tensor>> {
        let dx = by_device!(dy, cpu: cpu::backward(y, dy), metal: metal::backward(y, dy));
        dx.map(Some)
    }
}
