//! The definition, float32 inside.

use crate::Result;
use crate::storage::accumulator;
use candle_core::{D, Tensor};

pub(super) fn forward(x: &Tensor) -> Result<Tensor> {
    let wide = x.to_dtype(accumulator(x.dtype()))?;
    // A constant shift changes nothing, so no gradient flows through the maximum.
    let shift = wide.max_keepdim(D::Minus1)?.detach();
    let exp = wide.broadcast_sub(&shift)?.exp()?;
    let y = exp.broadcast_div(&exp.sum_keepdim(D::Minus1)?)?;
    Ok(y.to_dtype(x.dtype())?)
}
