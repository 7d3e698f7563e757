use super::lora::{self, Lora};
use super::{Adapter, Shapes, Take};
use crate::lora::{Error, Linear, Mode, Placement};
use candle_core::{Tensor, Var};
use metal_candle_kernels::{Dropout, Result, Weight, linear, matmul, tape};
use std::sync::Arc;

pub(super) const MAGNITUDE: &str = "lora_magnitude_vector";

/// Numbers of a weight that are float32 at a time while its rows are measured: 16 MiB.
const TILE: usize = 4 << 20;

/// `factor * (x W^T + scale * x A^T B^T) + bias` with `factor = magnitude / |row of W + scale * B A|`,
/// one for each row. The length is a constant in backward, as the paper (section 4.3) and PEFT have
/// it.
#[derive(Clone, Debug)]
pub(super) struct Dora {
    lora: Lora,
    /// Length of each row, `(N)`.
    magnitude: Var,
    /// Square of the length of each row of `W`, `(N)`.
    squares: Tensor,
    /// The factor, where nothing is trained.
    factor: Option<Tensor>,
}

pub(super) fn shapes(place: &Placement) -> Shapes {
    let mut shapes = lora::shapes(place);
    shapes.push((MAGNITUDE, vec![place.out_features]));
    shapes
}

impl Dora {
    /// Fresh factors, and the lengths of the rows of `W` as magnitude.
    pub(super) fn fresh(
        place: &Placement,
        layer: &Linear,
        seed: u64,
    ) -> std::result::Result<Self, Error> {
        let squares = row_squares(layer.weight())?;
        Ok(Self {
            lora: Lora::fresh(place, seed, layer.device())?,
            magnitude: Var::from_tensor(&squares.sqrt()?)?,
            squares,
            factor: None,
        })
    }

    pub(super) fn with(
        place: &Placement,
        layer: &Linear,
        take: Take<'_>,
    ) -> std::result::Result<Self, Error> {
        Ok(Self {
            lora: Lora::with(place, take)?,
            magnitude: take(MAGNITUDE)?,
            squares: row_squares(layer.weight())?,
            factor: None,
        })
    }

    /// `(N)`.
    fn factor(&self, layer: &Linear, mode: Mode) -> Result<Tensor> {
        match &self.factor {
            Some(factor) => Ok(factor.clone()),
            None => tape::mul(&mode.seen(&self.magnitude), &self.lengths(layer)?.recip()?),
        }
    }

    /// Length of each row of `W + scale * B A`, `(N)`.
    fn lengths(&self, layer: &Linear) -> Result<Tensor> {
        let products = linear(&self.lora.a.detach(), layer.weight(), None)?;
        let update = [&self.lora.a, &self.lora.b].map(|factor| factor.detach());
        lengths(&self.squares, &products.t()?, update, self.lora.scale)
    }

    /// The whole result while elements of the input are dropped. PEFT takes away, with the factor,
    /// the product of what is left of the input and not that of the whole:
    /// `x W^T + bias + (factor - 1) * kept W^T + factor * scale * kept A^T B^T`.
    fn with_dropout(
        &self,
        x: &Tensor,
        layer: &Linear,
        mode: Mode,
        dropout: Dropout,
    ) -> Result<Tensor> {
        let mask = dropout.mask(x.shape(), x.dtype(), x.device())?;
        let kept = tape::mul(x, &mask)?;
        let rest = tape::mul(x, &mask.affine(-1.0, 1.0)?)?;
        let kept = self.lora.beside(&kept, layer, None, mode, None)?;
        let kept = tape::mul(&kept, &self.factor(layer, mode)?)?;
        tape::add(&linear(&rest, layer.weight(), layer.bias())?, &kept)
    }
}

impl Adapter for Dora {
    fn forward(&self, x: &Tensor, layer: &Linear, mode: Mode) -> Result<Tensor> {
        if let Some(dropout) = self.lora.dropout(mode)? {
            return self.with_dropout(x, layer, mode, dropout);
        }
        let y = self.lora.beside(x, layer, None, mode, None)?;
        layer.with_bias(tape::mul(&y, &self.factor(layer, mode)?)?)
    }

    fn adapt(&self, x: &Tensor, product: &Tensor, layer: &Linear) -> Result<Tensor> {
        let factor = self.factor(layer, Mode::INFERENCE)?;
        tape::mul(&self.lora.added(x, product)?, &factor)
    }

    fn merged(&self, weight: &Tensor) -> Result<Tensor> {
        let sum = self.lora.merged(weight)?;
        let lengths = root(&sum.sqr()?.sum(1)?)?;
        let factor = (self.magnitude.detach() / lengths)?;
        tape::mul(&sum, &factor.unsqueeze(1)?)
    }

    fn parameters(&self) -> Vec<(&'static str, &Var)> {
        let mut parameters = self.lora.parameters();
        parameters.push((MAGNITUDE, &self.magnitude));
        parameters
    }

    fn frozen(&self, layer: &Linear) -> Result<Arc<dyn Adapter>> {
        let factor = Some(self.factor(layer, Mode::INFERENCE)?);
        Ok(Arc::new(Self {
            factor,
            ..self.clone()
        }))
    }
}

/// Length of each row of `W + scale * B A`, `(N)`, without that sum:
/// `|w + s b A|^2 = |w|^2 + 2 s (w A^T) b + s^2 b (A A^T) b`. `squares` are those of the rows of `W`,
/// `products` is `W A^T`, `(N, R)`.
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

/// A row of zeros has no direction: with the smallest length that is not zero, zero is what its
/// magnitude makes of it.
pub(super) fn root(squares: &Tensor) -> Result<Tensor> {
    Ok(squares.maximum(f32::MIN_POSITIVE)?.sqrt()?)
}

/// Square of the length of each row, `(N)` in float32.
fn row_squares(weight: &Weight) -> Result<Tensor> {
    let squares = tiles(weight)?.map(|tile| Ok(tile?.1.sqr()?.sum(1)?));
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
