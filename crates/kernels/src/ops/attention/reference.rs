//! The definition: two products around a masked softmax of scores. Memory grows with `Tq * Tk`.

use super::visible::Visible;
use super::{AttentionMask, AttentionScores};
use crate::graph::elementwise;
use crate::ops::matmul::reference as matmul;
use crate::ops::softcap::reference as softcap;
use crate::ops::softmax::reference as softmax;
use crate::storage::accumulator;
use crate::{MatMulOptions, Result};
use candle_core::{D, Tensor};

pub(super) fn forward(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    mask: &AttentionMask,
    AttentionScores {
        scale,
        softcap: cap,
        sinks,
    }: AttentionScores<'_>,
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
    let products = matmul::forward(&grouped, &k.to_dtype(dtype)?, None, options)?;
    let scores = match cap {
        Some(cap) => softcap::forward(&products, cap)?,
        None => products,
    };
    let (scores, sees_any) = hide(&scores.reshape((b, h, tq, tk))?, mask)?;
    let probabilities = softmax_with(&scores, sinks)?.reshape((b, g, h / g * tq, tk))?;
    let options = MatMulOptions::default();
    let y = matmul::forward(&probabilities, &v.to_dtype(dtype)?, None, options)?;
    let y = elementwise::mul(&y.reshape((b, h, tq, d))?, &sees_any)?;
    Ok(y.to_dtype(q.dtype())?)
}

/// Softmax of `(B, H, Tq, Tk)`, to whose sum a constant of each head is added.
fn softmax_with(scores: &Tensor, sinks: Option<&Tensor>) -> Result<Tensor> {
    let Some(sinks) = sinks else {
        return softmax::forward(scores);
    };
    let sinks = sinks.detach().to_dtype(scores.dtype())?;
    let sinks = sinks.reshape((1, (), 1, 1))?;
    // A constant shift changes nothing, so no gradient flows through the maximum.
    let largest = scores.detach().max_keepdim(D::Minus1)?;
    let down = largest.broadcast_maximum(&sinks)?.neg()?;
    let exp = elementwise::add(scores, &down)?.exp()?;
    let of_sinks = sinks.broadcast_add(&down)?.exp()?;
    let sum = elementwise::add(&exp.sum_keepdim(D::Minus1)?, &of_sinks)?;
    Ok(exp.broadcast_div(&sum)?)
}

/// `scores` where a query sees a key, -inf elsewhere: a constant added, so that only `scores` has a
/// gradient; and 1 for a query that sees any, `(B, 1, Tq, 1)`. One that sees none, whose result is zero,
/// keeps its scores, so that they have a softmax.
fn hide(scores: &Tensor, mask: &AttentionMask) -> Result<(Tensor, Tensor)> {
    let (b, _, tq, tk) = scores.dims4()?;
    let mut added = vec![f32::NEG_INFINITY; b * tq * tk];
    let mut sees_any = vec![0_f32; b * tq];
    for span in &*mask.spans(b, [tq, tk]) {
        let visible = Visible::new(mask, span);
        for (i, query) in span.queries.clone().enumerate() {
            let row = span.row * tq + query;
            sees_any[row] = 1.0;
            added[row * tk + span.keys.start..][visible.range(i..i + 1)].fill(0.0);
        }
    }
    for (added, sees_any) in added.chunks_mut(tk).zip(&sees_any) {
        if *sees_any == 0.0 {
            added.fill(0.0);
        }
    }
    let constant = |values, dims| {
        let constant = Tensor::from_vec(values, dims, scores.device())?;
        constant.to_dtype(scores.dtype())
    };
    let scores = elementwise::add(scores, &constant(added, (b, 1, tq, tk))?)?;
    Ok((scores, constant(sees_any, (b, 1, tq, 1))?))
}
