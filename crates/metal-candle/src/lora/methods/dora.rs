use super::lora::{self, Lora};
use super::magnitude::{self, MAGNITUDE, Magnitude, lengths, row_squares, times};
use super::{Adapter, Shapes, Take, Tied, shapes_of};
use crate::lora::{Error, Linear, Mode, Placement};
use candle_core::{Tensor, Var};
use metal_candle_kernels::{Dropout, Result, linear, tape};
use std::sync::Arc;

/// `factor * (x W^T + scale * x A^T B^T) + bias` with `factor = magnitude / |row of W + scale * B A|`,
/// one for each row. The length is a constant in backward, as the paper (section 4.3), PEFT and mlx-lm
/// have it.
///
/// While elements of the input are dropped, this is PEFT's DoRA. mlx-lm's keeps the whole input in
/// `x W^T`, `factor * (x W^T + scale * kept A^T B^T) + bias`: in training with dropout the two differ.
#[derive(Clone, Debug)]
pub(super) struct Dora {
    lora: Lora,
    /// Length of each row, `(N)`.
    magnitude: Magnitude,
}

pub(super) fn shapes(place: &Placement) -> Shapes {
    let mut shapes = lora::shapes(place);
    shapes.extend(shapes_of(&magnitude::PARTS, place));
    shapes
}

impl Dora {
    /// Fresh factors, and the lengths of the rows of `W` as magnitude.
    pub(super) fn fresh(
        place: &Placement,
        layer: &Linear,
        other: Tied<'_>,
        seed: u64,
    ) -> std::result::Result<Self, Error> {
        Ok(Self {
            lora: Lora::fresh(place, layer, other, seed)?,
            magnitude: Magnitude::fresh(row_squares(layer)?)?,
        })
    }

    pub(super) fn with(
        place: &Placement,
        layer: &Linear,
        other: Tied<'_>,
        take: Take<'_>,
    ) -> std::result::Result<Self, Error> {
        Ok(Self {
            lora: Lora::with(place, other, take)?,
            magnitude: Magnitude::new(take(MAGNITUDE)?, row_squares(layer)?),
        })
    }

    /// `(N)`.
    fn factor(&self, layer: &Linear, mode: Mode) -> Result<Tensor> {
        self.magnitude.factor(mode, |squares| {
            let (a, b) = (self.lora.a.detach()?, self.lora.b.detach()?);
            let products = linear(&a, layer.weight(), None)?;
            lengths(squares, &products.t()?, [a, b], self.lora.scale)
        })
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
        let kept = times(&kept, &self.factor(layer, mode)?)?;
        tape::add(&linear(&rest, layer.weight(), layer.bias())?, &kept)
    }
}

impl Adapter for Dora {
    fn forward(&self, x: &Tensor, layer: &Linear, mode: Mode) -> Result<Tensor> {
        if let Some(dropout) = self.lora.dropout(mode)? {
            return self.with_dropout(x, layer, mode, dropout);
        }
        let y = self.lora.beside(x, layer, None, mode, None)?;
        layer.with_bias(times(&y, &self.factor(layer, mode)?)?)
    }

    fn adapt(&self, x: &Tensor, product: &Tensor, layer: &Linear) -> Result<Tensor> {
        let factor = self.factor(layer, Mode::INFERENCE)?;
        times(&self.lora.added(x, product)?, &factor)
    }

    fn merged(&self, weight: &Tensor) -> Result<Tensor> {
        self.magnitude.applied(&self.lora.merged(weight)?, 1)
    }

    fn parameters(&self) -> Vec<(&'static str, &Var)> {
        let mut parameters = self.lora.parameters();
        parameters.push(self.magnitude.parameter());
        parameters
    }

    fn frozen(&self, layer: &Linear) -> Result<Arc<dyn Adapter>> {
        let factor = self.factor(layer, Mode::INFERENCE)?;
        Ok(Arc::new(Self {
            lora: self.lora.as_frozen()?,
            magnitude: self.magnitude.frozen(factor),
        }))
    }
}
