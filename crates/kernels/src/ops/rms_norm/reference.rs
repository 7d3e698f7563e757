//! The definition, float32 inside.

use crate::Result;
use crate::graph::elementwise;
use crate::storage::accumulator;
use candle_core::{D, Tensor};

pub(super) fn forward(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    let dtype = accumulator(x.dtype());
    let x_wide = x.to_dtype(dtype)?;
    let mean_square = x_wide.sqr()?.mean_keepdim(D::Minus1)?;
    let rstd = (mean_square + eps)?.sqrt()?.recip()?;
    let normalised = x_wide.broadcast_mul(&rstd)?;
    let y = elementwise::mul(&normalised, &weight.to_dtype(dtype)?)?;
    Ok(y.to_dtype(x.dtype())?)
}
