//! The definition: a product, a factor and a sum.

use super::MatMulOptions;
use super::product::{BroadcastMatMul, Candle};
use crate::Result;
use crate::graph::Kernel;
use crate::graph::elementwise;
use candle_core::{D, Tensor};

/// `alpha * op(A) op(B) + beta * C`, in float32 (float64 for f64) inside, in the dtype of `A`.
pub(crate) fn forward(
    a: &Tensor,
    b: &Tensor,
    c: Option<&Tensor>,
    options: MatMulOptions,
) -> Result<Tensor> {
    let a_view = transposed(a, options.transpose_a)?;
    let b_view = transposed(b, options.transpose_b)?;
    let [product] = Candle::run(BroadcastMatMul, [&a_view, &b_view])?;
    let product = scaled(product, options.alpha)?;
    match c {
        Some(c) if options.beta != 0.0 => {
            let c = scaled(c.to_dtype(a.dtype())?, options.beta)?;
            elementwise::add(&product, &c)
        }
        _ => Ok(product),
    }
}

/// `x W^T + bias`, for references of other operations.
pub(crate) fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    super::linear_by(forward, x, weight, bias)
}

fn transposed(t: &Tensor, transpose: bool) -> Result<Tensor> {
    Ok(match transpose {
        true => t.transpose(D::Minus2, D::Minus1)?,
        false => t.clone(),
    })
}

fn scaled(t: Tensor, factor: f64) -> Result<Tensor> {
    Ok(if factor == 1.0 { t } else { (t * factor)? })
}
