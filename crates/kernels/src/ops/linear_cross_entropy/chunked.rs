//! The loss on any device, by the reference: chunks of rows, each through logits, loss and gradients before
//! the next begins.

use super::{Head, Saved, reference};
use crate::Result;
use crate::graph::{Function, Gradients, Trace, Value};
use crate::storage::accumulator;
use candle_core::{DType, Tensor};

pub(super) struct Chunked;

impl<const N: usize> Function<Head, N> for Chunked {
    type Saved = Saved;

    fn forward(head: &Head, inputs: [&Tensor; N]) -> Result<(Value, Saved)> {
        compute(head, inputs[0], N > 1)
    }

    fn backward(_: &Head, saved: &Saved, trace: Trace<'_, N>) -> Result<Gradients<N>> {
        saved.scaled(trace)
    }
}

fn compute(head: &Head, hidden: &Tensor, wants_dweight: bool) -> Result<(Value, Saved)> {
    let device = hidden.device();
    let dtype = accumulator(hidden.dtype());
    let mut loss = Tensor::zeros((), dtype, device)?;
    let mut dhidden_rows = vec![];
    let mut dweight = None;
    let wide = hidden.detach().to_dtype(dtype)?.contiguous()?;
    let weight = head.weight.dense()?;
    let (rows, chunk_rows) = (&head.rows, head.chunk_rows()?);
    let targets = rows.targets.chunks(chunk_rows);
    for (indices, targets) in rows.indices.chunks(chunk_rows).zip(targets) {
        let h = wide.index_select(&Tensor::new(indices, device)?, 0)?;
        let logits = reference::logits(&h, &weight)?;
        let targets = Tensor::new(targets, device)?;
        let part = reference::cross_entropy(&logits, &targets, head.softcap)?;
        loss = (loss + part.loss)?;
        if hidden.track_op() {
            dhidden_rows.push(reference::dhidden(&part.dlogits, &weight)?);
        }
        if wants_dweight {
            dweight = Some(reference::dweight(&part.dlogits, &h, dweight.as_ref())?);
        }
    }
    let dhidden = scattered(hidden, &dhidden_rows, &rows.indices)?;
    let loss = Value::copied(&loss.to_dtype(DType::F32)?)?;
    Ok((loss, Saved { dhidden, dweight }))
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
