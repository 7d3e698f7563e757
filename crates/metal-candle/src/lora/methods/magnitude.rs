use super::parts::{Dim, Part};
use crate::lora::{Linear, Mode};
use candle_core::{Tensor, Var};
use metal_candle_kernels::{Result, Weight, matmul, tape};

pub(super) const MAGNITUDE: &str = "lora_magnitude_vector";

#[rustfmt::skip]
pub(super) const PARTS: [Part; 1] = [
    Part { name: MAGNITUDE, dims: &[Dim::Out] },
];

/// Numbers of a weight that are float32 at a time while it is measured: 16 MiB.
const TILE: usize = 4 << 20;

/// Trained lengths of the vectors that a weight consists of: the rows of a linear layer, the columns of
/// an embedding. A layer is multiplied by `factor = magnitude / length`, where the length is that of the
/// adapted weight, and a constant in backward.
#[derive(Clone, Debug)]
pub(super) struct Magnitude {
    /// One number for each vector.
    values: Var,
    /// Squares of the lengths without the adapter.
    squares: Tensor,
    /// The factor, where nothing is trained.
    factor: Option<Tensor>,
}

impl Magnitude {
    pub(super) fn new(values: Var, squares: Tensor) -> Self {
        Self {
            values,
            squares,
            factor: None,
        }
    }

    /// The lengths that the vectors have.
    pub(super) fn fresh(squares: Tensor) -> Result<Self> {
        Ok(Self::new(Var::from_tensor(&squares.sqrt()?)?, squares))
    }

    /// The factor; `lengths` are those of the adapted weight, from the squares.
    pub(super) fn factor(
        &self,
        mode: Mode,
        lengths: impl FnOnce(&Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        match &self.factor {
            Some(factor) => Ok(factor.clone()),
            None => tape::mul(&mode.seen(&self.values), &lengths(&self.squares)?.recip()?),
        }
    }

    /// `sum`, an adapted weight, with these lengths along `dim`.
    pub(super) fn applied(&self, sum: &Tensor, dim: usize) -> Result<Tensor> {
        let lengths = root(&sum.sqr()?.sum_keepdim(dim)?)?;
        let values = self.values.detach().reshape(lengths.shape())?;
        Ok(sum.broadcast_mul(&(values / lengths)?)?)
    }

    pub(super) fn parameter(&self) -> (&'static str, &Var) {
        (MAGNITUDE, &self.values)
    }

    /// Magnitude of an adapter that is trained no more.
    pub(super) fn frozen(&self, factor: Tensor) -> Self {
        Self {
            factor: Some(factor),
            ..self.clone()
        }
    }
}

/// Lengths of the vectors `w + scale * b A` without that sum:
/// `|w + s b A|^2 = |w|^2 + 2 s (w A^T) b + s^2 b (A A^T) b`. `squares` are the `|w|^2`, `(N)`,
/// `products` the `w A^T`, `(N, R)`; `A` is `(R, K)`, `b` are the rows of `(N, R)`.
pub(super) fn lengths(
    squares: &Tensor,
    products: &Tensor,
    [a, b]: [Tensor; 2],
    scale: f64,
) -> Result<Tensor> {
    let mixed = (products * &b)?.sum(1)?;
    let own = (matmul(&b, &matmul(&a, &a.t()?)?)? * &b)?.sum(1)?;
    root(&((squares + (mixed * (2.0 * scale))?)? + (own * (scale * scale))?)?)
}

/// A vector of zeros has no direction: with the smallest length that is not zero, zero is what its
/// magnitude makes of it.
fn root(squares: &Tensor) -> Result<Tensor> {
    Ok(squares.maximum(f32::MIN_POSITIVE)?.sqrt()?)
}

/// Square of the length of each row of a layer's weight, `(N)` in float32.
pub(super) fn row_squares(layer: &Linear) -> Result<Tensor> {
    let squares = tiles(layer.weight())?.map(|tile| Ok(tile?.1.sqr()?.sum(1)?));
    let squares = squares.collect::<Result<Vec<_>>>()?;
    Ok(Tensor::cat(&squares, 0)?)
}

/// Rows of a matrix in float32, `(n, K)`, a tile at a time, with the number of the first.
pub(super) fn tiles(weight: &Weight) -> Result<impl Iterator<Item = Result<(usize, Tensor)>> + '_> {
    let (n, k) = weight.dims()?;
    let rows = (TILE / k.max(1)).max(1);
    Ok((0..n).step_by(rows).map(move |start| {
        let ids = Tensor::arange(start as u32, n.min(start + rows) as u32, weight.device())?;
        Ok((start, weight.gather(&ids)?.detach()))
    }))
}

/// `y * factor` in float32, in the dtype of `y`.
pub(super) fn times(y: &Tensor, factor: &Tensor) -> Result<Tensor> {
    let product = tape::mul(&tape::cast(y, factor.dtype())?, factor)?;
    tape::cast(&product, y.dtype())
}
