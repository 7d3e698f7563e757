//! The definition, float32 inside.

use crate::Result;
use crate::storage::accumulator;
use candle_core::Tensor;

pub(crate) fn forward(x: &Tensor, cap: f64) -> Result<Tensor> {
    let wide = x.to_dtype(accumulator(x.dtype()))?;
    let y = ((wide / cap)?.tanh()? * cap)?;
    Ok(y.to_dtype(x.dtype())?)
}

/// The derivative at the result `y`: `1 - (y / cap)^2`.
pub(crate) fn slope(y: &Tensor, cap: f64) -> Result<Tensor> {
    Ok((y / cap)?.sqr()?.affine(-1.0, 1.0)?)
}
