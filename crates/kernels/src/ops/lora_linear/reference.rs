//! The definition: two linear layers and a sum.

use super::LoraWeights;
use crate::graph::elementwise;
use crate::ops::matmul::reference::linear;
use crate::{Result, Weight};
use candle_core::Tensor;

pub(super) fn forward(
    x: &Tensor,
    weight: &Weight,
    bias: Option<&Tensor>,
    lora: LoraWeights<'_>,
) -> Result<Tensor> {
    let base = linear(
        x,
        &weight.dense()?.detach(),
        bias.map(Tensor::detach).as_ref(),
    )?;
    let input = match lora.dropout {
        Some(dropout) => {
            let mask = dropout.mask(x.shape(), x.dtype(), x.device())?;
            elementwise::mul(x, &mask)?
        }
        None => x.clone(),
    };
    let delta = linear(&linear(&input, lora.a, None)?, lora.b, None)?;
    elementwise::add(&base, &(delta * lora.scale)?)
}
