//! The loss on any device, by the reference: chunks of rows, each through logits, loss and gradients before
//! the next begins.

use super::{Head, Saved, reference};
use crate::graph::{Function, Gradients, Trace, Value};
use crate::ops::matmul;
use crate::storage::accumulator;
use crate::{MatMulOptions, Result, matmul_with};
use candle_core::{DType, Tensor};

pub(super) struct Chunked;

impl<const N: usize> Function<Head, N> for Chunked {
    type Saved = Saved;

    fn forward(head: &Head, inputs: [&Tensor; N]) -> Result<(Value, Saved)> {
        compute(head, inputs[0], head.saves_dweight(N))
    }

    fn backward(head: &Head, saved: &Saved, trace: Trace<'_, N>) -> Result<Gradients<N>> {
        saved.scaled(head, trace)
    }
}

fn compute(head: &Head, hidden: &Tensor, wants_dweight: bool) -> Result<(Value, Saved)> {
    let weight = head.weight.dense()?;
    let mut losses = vec![];
    let mut dhidden_rows = vec![];
    let mut dweight = None;
    for chunk in chunks(head, hidden)? {
        let Chunk { h, targets, .. } = chunk?;
        let logits = reference::logits(&h, &weight)?;
        let part = reference::cross_entropy(&logits, &targets, head.softcap)?;
        losses.push(part.losses);
        if hidden.track_op() {
            dhidden_rows.push(reference::dhidden(&part.dlogits, &weight)?);
        }
        if wants_dweight {
            dweight = Some(reference::dweight(&part.dlogits, &h, dweight.as_ref())?);
        }
    }
    let dhidden = scattered(hidden, &dhidden_rows, &head.rows.indices)?;
    let result = match losses.is_empty() {
        true => Tensor::zeros(head.result.shape(), DType::F32, hidden.device())?,
        false => head.result_of(&Tensor::cat(&losses, 0)?)?,
    };
    let result = Value::copied(&result.to_dtype(DType::F32)?)?;
    Ok((result, Saved { dhidden, dweight }))
}

/// Gradient of the weight, `(V, D)`, for gradients `dlosses`, `(N)`, of the losses of rows.
/// Its products are the device's own: candle's of a row alone breaks a rule of Metal (docs/log/upstream.md).
pub(super) fn dweight(head: &Head, hidden: &Tensor, dlosses: &Tensor) -> Result<Tensor> {
    let weight = head.weight.dense()?;
    let wide = weight.detach().to_dtype(accumulator(hidden.dtype()))?;
    let options = MatMulOptions {
        transpose_a: true,
        ..MatMulOptions::default()
    };
    let mut dweight = None;
    for chunk in chunks(head, hidden)? {
        let Chunk {
            indices,
            h,
            targets,
        } = chunk?;
        let logits = matmul::linear(&h, &wide, None)?;
        let dlogits = reference::cross_entropy(&logits, &targets, head.softcap)?.dlogits;
        let factors = dlosses.index_select(&indices, 0)?.unsqueeze(1)?;
        let dlogits = dlogits.broadcast_mul(&factors.to_dtype(dlogits.dtype())?)?;
        dweight = Some(matmul_with(&dlogits, &h, dweight.as_ref(), options)?);
    }
    match dweight {
        Some(dweight) => Ok(dweight),
        None => Ok(weight.zeros_like()?),
    }
}

/// Some of the trained rows.
struct Chunk {
    indices: Tensor,
    /// `(rows, D)`, in the dtype of sums.
    h: Tensor,
    targets: Tensor,
}

fn chunks<'a>(
    head: &'a Head,
    hidden: &Tensor,
) -> Result<impl Iterator<Item = Result<Chunk>> + use<'a>> {
    let (rows, size) = (&head.rows, head.chunk_rows()?);
    let device = hidden.device().clone();
    let wide = hidden.detach().to_dtype(accumulator(hidden.dtype()))?;
    let wide = wide.contiguous()?;
    let parts = rows.indices.chunks(size).zip(rows.targets.chunks(size));
    Ok(parts.map(move |(indices, targets)| {
        let indices = Tensor::new(indices, &device)?;
        Ok(Chunk {
            h: wide.index_select(&indices, 0)?,
            indices,
            targets: Tensor::new(targets, &device)?,
        })
    }))
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
