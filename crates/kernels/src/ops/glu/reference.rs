//! The definition, float32 inside.

use super::Activation;
use crate::Result;
use crate::graph::elementwise;
use crate::storage::accumulator;
use candle_core::Tensor;

pub(super) fn forward(gate: &Tensor, up: &Tensor, activation: Activation) -> Result<Tensor> {
    let dtype = accumulator(gate.dtype());
    let z = gate.to_dtype(dtype)?;
    let activated = match activation {
        Activation::Silu => z.silu()?,
        Activation::GeluTanh => gelu_tanh(&z)?,
    };
    let y = elementwise::mul(&activated, &up.to_dtype(dtype)?)?;
    Ok(y.to_dtype(gate.dtype())?)
}

/// From tanh as PyTorch writes it: candle's own has fewer digits in its gradient.
fn gelu_tanh(z: &Tensor) -> Result<Tensor> {
    let factor = (2.0 / std::f64::consts::PI).sqrt();
    let slope = z.sqr()?.affine(factor * 0.044715, factor)?;
    let tanh = elementwise::mul(z, &slope)?.tanh()?;
    elementwise::mul(z, &tanh.affine(0.5, 0.5)?)
}
