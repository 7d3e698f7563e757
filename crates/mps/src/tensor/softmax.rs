//! `mps_softmax` and `mps_log_softmax`.

use candle_core::backend::BackendDevice;
use candle_core::{CpuStorage, CustomOp1, D, DType, Layout, Shape, Tensor};

use super::backend::{Backend, Rows};
use super::{Error, Result};
use crate::plan::{MatrixSoftMax, Reject, Slot, SoftMaxKind};

/// Soft-max over the last dimension by `MPSMatrixSoftMax` and `MPSMatrixLogSoftMax`.
///
/// Tensors are f32 or f16, of at least one dimension and any layout; rows whose elements are not
/// neighbours are copied. MPS computes these only on request: they are bound by memory, and
/// candle's own soft-max needs no change of encoder.
///
/// Backward: `dx = y (dy - sum(y dy))` and `dx = dy - exp(y) sum(dy)`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use metal_candle_mps::tensor::MpsSoftMax;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let x = Tensor::new(&[[0f32, 3f32.ln()]], &Device::Cpu)?;
/// assert_eq!(x.mps_softmax()?.to_vec2::<f32>()?, [[0.25, 0.75]]);
/// # Ok(())
/// # }
/// ```
pub trait MpsSoftMax {
    /// `exp(x) / sum(exp(x))`.
    ///
    /// # Errors
    ///
    /// An [`Error`] that says which type, device or limit does not fit.
    fn mps_softmax(&self) -> Result<Tensor>;

    /// `x - ln(sum(exp(x)))`.
    ///
    /// # Errors
    ///
    /// The same.
    fn mps_log_softmax(&self) -> Result<Tensor>;
}

impl MpsSoftMax for Tensor {
    fn mps_softmax(&self) -> Result<Tensor> {
        soft_max(self, SoftMaxKind::SoftMax)
    }

    fn mps_log_softmax(&self) -> Result<Tensor> {
        soft_max(self, SoftMaxKind::LogSoftMax)
    }
}

fn soft_max(x: &Tensor, kind: SoftMaxKind) -> Result<Tensor> {
    let (operand, got) = (Slot::Source, x.dtype());
    if !matches!(got, DType::F32 | DType::F16) {
        return Err(Error::DType {
            operand,
            expected: "F32 or F16".into(),
            got,
        });
    }
    if x.rank() == 0 {
        return Err(Error::Rank {
            operand,
            shape: x.shape().clone(),
            min: 1,
        });
    }
    if x.device().is_cuda() {
        let (expected, got) = ("the CPU or an Apple GPU".into(), x.device().location());
        return Err(Error::Device {
            operand,
            expected,
            got,
        });
    }
    Ok(x.apply_op1(SoftMax { kind })?)
}

/// The operation of the graph.
struct SoftMax {
    kind: SoftMaxKind,
}

impl SoftMax {
    fn forward<S: Backend>(&self, source: &S, layout: &Layout) -> Result<(S, Shape)> {
        let shape = layout.shape().clone();
        if shape.elem_count() == 0 {
            return Ok((source.device().zeros_impl(&shape, source.dtype())?, shape));
        }
        let result = source.allocate(shape.elem_count(), 0, source.dtype())?;
        let contiguous = Layout::contiguous(&shape);
        let result_view = result.view(&contiguous)?;
        let plan = |view| MatrixSoftMax::plan(self.kind, &view, &result_view);
        let result = match plan(source.view(layout)?) {
            Ok(plan) => S::run_soft_max(&plan, Rows { source, result })?,
            Err(Reject::StridedRow { .. }) => {
                let mut copy = source.allocate(shape.elem_count(), 0, source.dtype())?;
                source.copy_strided_src(&mut copy, 0, layout)?;
                let plan = plan(copy.view(&contiguous)?)?;
                S::run_soft_max(
                    &plan,
                    Rows {
                        source: &copy,
                        result,
                    },
                )?
            }
            Err(reject) => return Err(Error::Limit(reject)),
        };
        Ok((result, shape))
    }

    fn gradient(&self, y: &Tensor, dy: &Tensor) -> candle_core::Result<Tensor> {
        match self.kind {
            SoftMaxKind::SoftMax => {
                let mean = (y * dy)?.sum_keepdim(D::Minus1)?;
                y * dy.broadcast_sub(&mean)?
            }
            SoftMaxKind::LogSoftMax => {
                let total = dy.sum_keepdim(D::Minus1)?;
                dy - y.exp()?.broadcast_mul(&total)?
            }
        }
    }
}

impl CustomOp1 for SoftMax {
    fn name(&self) -> &'static str {
        match self.kind {
            SoftMaxKind::SoftMax => "mps_softmax",
            SoftMaxKind::LogSoftMax => "mps_log_softmax",
        }
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        Ok(self.forward(storage, layout)?)
    }

    #[cfg(any(target_vendor = "apple", soft_metal))]
    fn metal_fwd(
        &self,
        storage: &candle_core::MetalStorage,
        layout: &Layout,
    ) -> candle_core::Result<(candle_core::MetalStorage, Shape)> {
        Ok(self.forward(storage, layout)?)
    }

    fn bwd(&self, _: &Tensor, y: &Tensor, dy: &Tensor) -> candle_core::Result<Option<Tensor>> {
        self.gradient(&y.detach(), dy).map(Some)
    }
}
