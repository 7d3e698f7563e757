//! The node of the graph, and what it saves computed by the reference: chunks of rows, each
//! through logits, loss and gradients before the next begins.

use super::{TrainedRows, reference};
use crate::storage::accumulator;
use crate::{Result, elementwise};
use candle_core::{
    CpuStorage, CudaStorage, CustomOp2, DType, Layout, MetalStorage, Result as CandleResult, Shape,
    Storage, Tensor,
};

/// The loss and, for inputs that are tracked, its gradients, all computed forward.
pub(super) struct SavedLoss {
    /// A float32 scalar.
    pub(super) loss: Tensor,
    /// Shape of the hidden state.
    pub(super) dhidden: Option<Tensor>,
    /// Shape of the weight.
    pub(super) dweight: Option<Tensor>,
}

/// By the definition, in candle operations.
pub(super) fn compute(
    hidden: &Tensor,
    weight: &Tensor,
    rows: &TrainedRows,
    softcap: Option<f64>,
    chunk_rows: usize,
) -> Result<SavedLoss> {
    let device = hidden.device();
    let dtype = accumulator(hidden.dtype());
    let mut loss = Tensor::zeros((), dtype, device)?;
    let mut dhidden_rows = vec![];
    let mut dweight = None;
    let wide = hidden.detach().to_dtype(dtype)?.contiguous()?;
    let frozen = weight.detach();
    let targets = rows.targets.chunks(chunk_rows);
    for (indices, targets) in rows.indices.chunks(chunk_rows).zip(targets) {
        let h = wide.index_select(&Tensor::new(indices, device)?, 0)?;
        let logits = reference::logits(&h, &frozen)?;
        let targets = Tensor::new(targets, device)?;
        let part = reference::cross_entropy(&logits, &targets, softcap)?;
        loss = (loss + part.loss)?;
        if hidden.track_op() {
            dhidden_rows.push(reference::dhidden(&part.dlogits, &frozen)?);
        }
        if weight.track_op() {
            dweight = Some(reference::dweight(&part.dlogits, &h, dweight.as_ref())?);
        }
    }
    Ok(SavedLoss {
        loss: loss.to_dtype(DType::F32)?,
        dhidden: scattered(hidden, &dhidden_rows, &rows.indices)?,
        dweight,
    })
}

/// The rows' gradients at their places among the rows without a loss, whose gradient is zero.
fn scattered(hidden: &Tensor, parts: &[Tensor], indices: &[u32]) -> Result<Option<Tensor>> {
    if parts.is_empty() {
        return Ok(None);
    }
    let rows = Tensor::cat(parts, 0)?;
    let zeros = Tensor::zeros(hidden.shape(), rows.dtype(), hidden.device())?;
    let indices = Tensor::new(indices, hidden.device())?;
    Ok(Some(zeros.index_add(&indices, &rows, 0)?))
}

impl CustomOp2 for SavedLoss {
    fn name(&self) -> &'static str {
        "linear_cross_entropy"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> CandleResult<(CpuStorage, Shape)> {
        let loss = self.loss.to_scalar::<f32>()?;
        Ok((CpuStorage::F32(vec![loss]), Shape::from(())))
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> CandleResult<(CudaStorage, Shape)> {
        match self.copied_loss()? {
            Storage::Cuda(loss) => Ok((loss, Shape::from(()))),
            _ => candle_core::bail!("the loss is not on the CUDA device of its inputs"),
        }
    }

    fn metal_fwd(
        &self,
        _: &MetalStorage,
        _: &Layout,
        _: &MetalStorage,
        _: &Layout,
    ) -> CandleResult<(MetalStorage, Shape)> {
        match self.copied_loss()? {
            Storage::Metal(loss) => Ok((loss, Shape::from(()))),
            _ => candle_core::bail!("the loss is not on the Metal device of its inputs"),
        }
    }

    fn bwd(
        &self,
        hidden: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> CandleResult<(Option<Tensor>, Option<Tensor>)> {
        Ok((
            scaled(&self.dhidden, hidden, grad)?,
            scaled(&self.dweight, weight, grad)?,
        ))
    }
}

impl SavedLoss {
    fn copied_loss(&self) -> CandleResult<Storage> {
        let (storage, layout) = self.loss.storage_and_layout();
        storage.try_clone(layout)
    }
}

/// A batch without a single target has a loss of zero and a gradient of zero.
fn scaled(saved: &Option<Tensor>, input: &Tensor, grad: &Tensor) -> CandleResult<Option<Tensor>> {
    match saved {
        Some(saved) => {
            let grad = grad.to_dtype(saved.dtype())?;
            Ok(Some(
                elementwise::mul(saved, &grad)?.to_dtype(input.dtype())?,
            ))
        }
        None if input.track_op() => Ok(Some(input.zeros_like()?)),
        None => Ok(None),
    }
}
