//! The definition, float32 inside.

use crate::Result;
use crate::storage::accumulator;
use candle_core::Tensor;

pub(super) fn forward(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    let dtype = accumulator(gate.dtype());
    let y = (gate.to_dtype(dtype)?.silu()? * up.to_dtype(dtype)?)?;
    Ok(y.to_dtype(gate.dtype())?)
}
