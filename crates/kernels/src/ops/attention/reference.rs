//! The definition: two products around a masked softmax of scores. Memory grows with `Tq * Tk`.

use super::{AttentionMask, AttentionScores};
use crate::graph::elementwise;
use crate::ops::matmul::reference as matmul;
use crate::ops::softcap::reference as softcap;
use crate::ops::softmax::reference as softmax;
use crate::storage::accumulator;
use crate::{MatMulOptions, Result};
use candle_core::{Device, Tensor};

pub(super) fn forward(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    mask: &AttentionMask,
    scores: AttentionScores,
) -> Result<Tensor> {
    let (b, h, tq, d) = q.dims4()?;
    let (_, g, tk, _) = k.dims4()?;
    let dtype = accumulator(q.dtype());
    let options = MatMulOptions {
        transpose_b: true,
        alpha: scores.scale,
        ..MatMulOptions::default()
    };
    // The queries of one group stack into rows of one product: (B, H, Tq, D) -> (B, G, H/G*Tq, D).
    let grouped = q.to_dtype(dtype)?.reshape((b, g, h / g * tq, d))?;
    let products = matmul::forward(&grouped, &k.to_dtype(dtype)?, None, options)?;
    let scores = match scores.softcap {
        Some(cap) => softcap::forward(&products, cap)?,
        None => products,
    };
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
        true => Some(keys(tk, device)?.broadcast_le(&of_queries(tq, tk, |p| p, device)?)?),
        false => None,
    };
    let window = match mask.window {
        Some(window) => {
            let first = of_queries(tq, tk, |p| (p + 1).saturating_sub(window), device)?;
            Some(keys(tk, device)?.broadcast_ge(&first)?)
        }
        None => None,
    };
    let segments = match &mask.segments {
        Some(ids) => {
            let own = ids.narrow(1, tk - tq, tq)?.reshape((b, 1, tq, 1))?;
            Some(own.broadcast_eq(&ids.reshape((b, 1, 1, tk))?)?)
        }
        None => None,
    };
    let mut seen: Option<Tensor> = None;
    for part in [causal, window, segments].into_iter().flatten() {
        seen = Some(match seen {
            Some(seen) => seen.broadcast_mul(&part)?,
            None => part,
        });
    }
    Ok(seen)
}

/// `(1, 1, 1, Tk)`.
fn keys(tk: usize, device: &Device) -> Result<Tensor> {
    Ok(Tensor::arange(0, tk as u32, device)?.reshape((1, 1, 1, tk))?)
}

/// `f` of the position of every query among the keys, `(1, 1, Tq, 1)`.
fn of_queries(tq: usize, tk: usize, f: impl Fn(usize) -> usize, device: &Device) -> Result<Tensor> {
    let keys: Vec<u32> = (tk - tq..tk).map(|position| f(position) as u32).collect();
    Ok(Tensor::from_vec(keys, (1, 1, tq, 1), device)?)
}
