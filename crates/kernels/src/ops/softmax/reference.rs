//! The definition, float32 inside.

use crate::Result;
use crate::graph::elementwise;
use crate::storage::accumulator;
use candle_core::{D, Tensor};

pub(crate) fn forward(x: &Tensor) -> Result<Tensor> {
    let wide = x.to_dtype(accumulator(x.dtype()))?;
    // A constant shift changes nothing, so no gradient flows through the maximum.
    let shift = wide.max_keepdim(D::Minus1)?.detach();
    let exp = elementwise::add(&wide, &shift.neg()?)?.exp()?;
    let y = exp.broadcast_div(&exp.sum_keepdim(D::Minus1)?)?;
    Ok(y.to_dtype(x.dtype())?)
}
