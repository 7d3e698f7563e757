//! The definition, float32 inside.

use crate::storage::accumulator;
use crate::{Result, elementwise};
use candle_core::Tensor;

pub(super) fn forward(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    let dtype = accumulator(gate.dtype());
    let y = elementwise::mul(&gate.to_dtype(dtype)?.silu()?, &up.to_dtype(dtype)?)?;
    Ok(y.to_dtype(gate.dtype())?)
}
