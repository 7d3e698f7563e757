//! The definition: two halves, four products.

use crate::storage::accumulator;
use crate::{Result, elementwise};
use candle_core::{D, Tensor};

pub(super) fn forward(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    let dtype = accumulator(x.dtype());
    let half = x.dim(D::Minus1)? / 2;
    let wide = x.to_dtype(dtype)?;
    let (first, second) = (wide.narrow(3, 0, half)?, wide.narrow(3, half, half)?);
    let (cos, sin) = (
        per_head(cos)?.to_dtype(dtype)?,
        per_head(sin)?.to_dtype(dtype)?,
    );
    let y_first = (elementwise::mul(&first, &cos)? - elementwise::mul(&second, &sin)?)?;
    let y_second = (elementwise::mul(&second, &cos)? + elementwise::mul(&first, &sin)?)?;
    Ok(Tensor::cat(&[y_first, y_second], D::Minus1)?.to_dtype(x.dtype())?)
}

/// (T, D/2) or (B, T, D/2) -> (1 or B, 1, T, D/2), a constant.
fn per_head(table: &Tensor) -> Result<Tensor> {
    let table = table.detach();
    Ok(match table.rank() {
        2 => table.unsqueeze(0)?.unsqueeze(0)?,
        _ => table.unsqueeze(1)?,
    })
}
