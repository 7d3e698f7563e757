//! The definition: two products around a masked softmax. Memory grows with `Tq * Tk`.

use super::AttentionMask;
use crate::ops::matmul::reference as matmul;
use crate::ops::softmax::reference as softmax;
use crate::storage::accumulator;
use crate::{MatMulOptions, Result, elementwise};
use candle_core::{DType, Device, Tensor};

pub(super) fn forward(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    mask: &AttentionMask,
    scale: f64,
) -> Result<Tensor> {
    let (b, h, tq, d) = q.dims4()?;
    let (_, g, tk, _) = k.dims4()?;
    let dtype = accumulator(q.dtype());
    let options = MatMulOptions {
        transpose_b: true,
        alpha: scale,
        ..MatMulOptions::default()
    };
    // The queries of one group stack into rows of one product: (B, H, Tq, D) -> (B, G, H/G*Tq, D).
    let grouped = q.to_dtype(dtype)?.reshape((b, g, h / g * tq, d))?;
    let scores = matmul::forward(&grouped, &k.to_dtype(dtype)?, None, options)?;
    let scores = match visible(mask, b, tq, tk, q.device())? {
        Some(visible) => hide(&scores.reshape((b, h, tq, tk))?, &visible)?,
        None => scores,
    };
    let probabilities = softmax::forward(&scores)?.reshape((b, g, h / g * tq, tk))?;
    let options = MatMulOptions::default();
    let y = matmul::forward(&probabilities, &v.to_dtype(dtype)?, None, options)?;
    Ok(y.reshape((b, h, tq, d))?.to_dtype(q.dtype())?)
}

/// `scores` where visible, -inf elsewhere: a constant added, so that only `scores` has a gradient.
fn hide(scores: &Tensor, visible: &Tensor) -> Result<Tensor> {
    let constant = |value: f32| {
        let value = Tensor::new(value, scores.device())?.to_dtype(scores.dtype())?;
        value.broadcast_as(visible.shape())
    };
    let added = visible.where_cond(&constant(0.0)?, &constant(f32::NEG_INFINITY)?)?;
    elementwise::add(scores, &added)
}

/// 1 where a query sees a key: `(1 or B, 1, Tq, Tk)`; `None` when every query sees every key.
fn visible(
    mask: &AttentionMask,
    b: usize,
    tq: usize,
    tk: usize,
    device: &Device,
) -> Result<Option<Tensor>> {
    let causal = match mask.causal && tq > 1 {
        true => Some(causal(tq, tk, device)?),
        false => None,
    };
    let Some(ids) = &mask.segments else {
        return Ok(causal);
    };
    let same = ids
        .narrow(1, tk - tq, tq)?
        .reshape((b, 1, tq, 1))?
        .broadcast_eq(&ids.reshape((b, 1, 1, tk))?)?;
    Ok(Some(match causal {
        Some(causal) => same.broadcast_mul(&causal)?,
        None => same,
    }))
}

fn causal(tq: usize, tk: usize, device: &Device) -> Result<Tensor> {
    let queries = Tensor::arange((tk - tq) as u32, tk as u32, device)?.reshape((1, 1, tq, 1))?;
    let keys = Tensor::arange(0, tk as u32, device)?.reshape((1, 1, 1, tk))?;
    Ok(keys.broadcast_le(&queries)?.to_dtype(DType::U8)?)
}
