//! The definition: two of every pair, four products.

use super::RopePairs;
use crate::Result;
use crate::graph::elementwise;
use crate::storage::accumulator;
use candle_core::{D, Tensor};

pub(super) fn forward(x: &Tensor, cos: &Tensor, sin: &Tensor, pairs: RopePairs) -> Result<Tensor> {
    let dtype = accumulator(x.dtype());
    let (b, h, t, d) = x.dims4()?;
    let half = cos.dim(D::Minus1)?;
    let wide = x.to_dtype(dtype)?;
    // What a pair consists of is a dimension of its own.
    let (split, dim) = match pairs {
        RopePairs::Halves => ((b, h, t, 2, half), 3),
        RopePairs::Interleaved => ((b, h, t, half, 2), 4),
    };
    let rotated = wide.narrow(3, 0, 2 * half)?.reshape(split)?;
    let (first, second) = (rotated.get_on_dim(dim, 0)?, rotated.get_on_dim(dim, 1)?);
    let (cos, sin) = (
        per_head(cos)?.to_dtype(dtype)?,
        per_head(sin)?.to_dtype(dtype)?,
    );
    let y_first = (elementwise::mul(&first, &cos)? - elementwise::mul(&second, &sin)?)?;
    let y_second = (elementwise::mul(&second, &cos)? + elementwise::mul(&first, &sin)?)?;
    let y = Tensor::stack(&[y_first, y_second], dim)?.reshape((b, h, t, 2 * half))?;
    let y = match d - 2 * half {
        0 => y,
        rest => Tensor::cat(&[y, wide.narrow(3, 2 * half, rest)?], 3)?,
    };
    Ok(y.to_dtype(x.dtype())?)
}

/// (T, R/2) or (B, T, R/2) -> (1 or B, 1, T, R/2), a constant.
fn per_head(table: &Tensor) -> Result<Tensor> {
    let table = table.detach();
    Ok(match table.rank() {
        2 => table.unsqueeze(0)?.unsqueeze(0)?,
        _ => table.unsqueeze(1)?,
    })
}
