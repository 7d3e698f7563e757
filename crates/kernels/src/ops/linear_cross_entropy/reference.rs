//! The definition of one chunk of rows, and its gradients.

use crate::ops::matmul::reference as matmul;
use crate::ops::softcap::reference as softcap;
use crate::{MatMulOptions, Result};
use candle_core::{D, Tensor};

/// Results of one pass over a chunk of rows.
pub(super) struct ChunkLoss {
    /// Losses of the rows, `(rows)`.
    pub(super) losses: Tensor,
    /// Derivative by the logits before they are bounded, `(rows, V)`.
    pub(super) dlogits: Tensor,
}

/// The losses of `logits` `(rows, V)`, bounded by `cap` where there is one, for `targets` `(rows)` u32.
pub(super) fn cross_entropy(
    logits: &Tensor,
    targets: &Tensor,
    cap: Option<f64>,
) -> Result<ChunkLoss> {
    let Some(cap) = cap else {
        return of_logits(logits, targets);
    };
    let bounded = softcap::forward(logits, cap)?;
    let ChunkLoss { losses, dlogits } = of_logits(&bounded, targets)?;
    let dlogits = (dlogits * softcap::slope(&bounded, cap)?)?;
    Ok(ChunkLoss { losses, dlogits })
}

/// The losses, and `softmax(logits) - onehot(targets)`.
fn of_logits(logits: &Tensor, targets: &Tensor) -> Result<ChunkLoss> {
    let column = targets.unsqueeze(1)?;
    let shifted = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?)?;
    let exp = shifted.exp()?;
    let sum = exp.sum_keepdim(D::Minus1)?;
    let picked = shifted.gather(&column, 1)?;
    let losses = (sum.log()? - picked)?.squeeze(1)?;
    let minus_one = column.ones_like()?.to_dtype(logits.dtype())?.neg()?;
    let dlogits = exp
        .broadcast_div(&sum)?
        .scatter_add(&column, &minus_one, 1)?;
    Ok(ChunkLoss { losses, dlogits })
}

/// `(rows, D)` by `(V, D)` -> `(rows, V)`.
pub(super) fn logits(hidden: &Tensor, weight: &Tensor) -> Result<Tensor> {
    matmul::linear(hidden, weight, None)
}

/// `dlogits W`: `(rows, D)`.
pub(super) fn dhidden(dlogits: &Tensor, weight: &Tensor) -> Result<Tensor> {
    matmul::forward(dlogits, weight, None, MatMulOptions::default())
}

/// `dlogits^T h`: `(V, D)`, added to `sum` where there is one.
pub(super) fn dweight(dlogits: &Tensor, hidden: &Tensor, sum: Option<&Tensor>) -> Result<Tensor> {
    let options = MatMulOptions {
        transpose_a: true,
        ..MatMulOptions::default()
    };
    matmul::forward(dlogits, hidden, sum, options)
}
