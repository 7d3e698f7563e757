//! Softmax by MPS.

#[cfg(any(target_vendor = "apple", soft_metal))]
use candle_core::MetalStorage as Metal;
use candle_core::{CpuStorage as Cpu, CustomOp1, D, Layout, Shape, Tensor};

use super::Result;
use super::operand::Backend;
use crate::plan::MatrixSoftMax;

/// Softmax of `x`, `(.., D)` of float32 or float16, over its last dimension by `MPSMatrixSoftMax`, contiguous and in the dtype of
/// `x`, whatever was measured; on the CPU by the interpreter. The gradient is `y (dy - sum(dy y))`, by candle's operations.
///
/// # Errors
///
/// [`Error::Limit`](super::Error::Limit) for a layout that MPS does not take, and what candle, or the GPU, reports.
pub fn mps_softmax(x: &Tensor) -> Result<Tensor> {
    Ok(x.apply_op1(SoftMax)?)
}

struct SoftMax;

/// Softmax of a storage.
pub(crate) fn soft_max<S: Backend>((x, layout): (&S, &Layout)) -> Result<S> {
    let result = x.allocate(layout.shape().elem_count(), 0, x.dtype())?;
    let view = result.view(&Layout::contiguous(layout.shape()))?;
    let plan = MatrixSoftMax::plan(&x.view(layout)?, &view)?;
    S::soft_max(&plan, x, result)
}

impl CustomOp1 for SoftMax {
    fn name(&self) -> &'static str {
        "mps_softmax"
    }

    fn cpu_fwd(&self, x: &Cpu, layout: &Layout) -> candle_core::Result<(Cpu, Shape)> {
        Ok((soft_max((x, layout))?, layout.shape().clone()))
    }

    #[cfg(any(target_vendor = "apple", soft_metal))]
    fn metal_fwd(&self, x: &Metal, layout: &Layout) -> candle_core::Result<(Metal, Shape)> {
        Ok((soft_max((x, layout))?, layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, y: &Tensor, dy: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let through = (y * dy)?;
        let sum = through.sum_keepdim(D::Minus1)?;
        Ok(Some((through - y.broadcast_mul(&sum)?)?))
    }
}
