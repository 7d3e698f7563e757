use super::embedding::{self, Embedding};
use super::magnitude::{self, MAGNITUDE, Magnitude, lengths, tiles};
use super::{Adapter, Shapes, Take, shapes_of};
use crate::lora::{Error, Linear, Mode, Placement};
use candle_core::{Tensor, Var};
use metal_candle_kernels::{Result, Weight, matmul, tape};
use std::sync::Arc;

/// `factor * (W[id] + scale * B A[id])` with `factor = magnitude / |column of W + scale * (B A)^T|`, one
/// for each column: PEFT's DoRA on an embedding. The length is a constant in backward. mlx-lm's has a
/// magnitude for each row, which is another adapter.
#[derive(Clone, Debug)]
pub(super) struct DoraEmbedding {
    embedding: Embedding,
    /// Length of each column, `(D)`.
    magnitude: Magnitude,
}

pub(super) fn shapes(place: &Placement) -> Shapes {
    let mut shapes = shapes_of(&embedding::PARTS, place);
    shapes.extend(shapes_of(&magnitude::PARTS, place));
    shapes
}

impl DoraEmbedding {
    /// Fresh factors, and the lengths of the columns of `W` as magnitude.
    pub(super) fn fresh(
        place: &Placement,
        layer: &Linear,
        seed: u64,
    ) -> std::result::Result<Self, Error> {
        Ok(Self {
            embedding: Embedding::fresh(place, layer, seed)?,
            magnitude: Magnitude::fresh(column_squares(layer.weight())?)?,
        })
    }

    pub(super) fn with(
        place: &Placement,
        layer: &Linear,
        take: Take<'_>,
    ) -> std::result::Result<Self, Error> {
        Ok(Self {
            embedding: Embedding::with(place, take)?,
            magnitude: Magnitude::new(take(MAGNITUDE)?, column_squares(layer.weight())?),
        })
    }

    /// `(D)`.
    fn factor(&self, layer: &Linear, mode: Mode) -> Result<Tensor> {
        self.magnitude.factor(mode, |squares| {
            let Embedding { a, b, scale } = &self.embedding;
            let (a, b) = (a.detach(), b.detach());
            let products = products(&a, layer.weight())?.t()?;
            lengths(squares, &products, [a, b], *scale)
        })
    }
}

impl Adapter for DoraEmbedding {
    fn forward(&self, ids: &Tensor, layer: &Linear, mode: Mode) -> Result<Tensor> {
        let rows = self.embedding.forward(ids, layer, mode)?;
        tape::mul(&rows, &self.factor(layer, mode)?)
    }

    fn adapt(&self, ids: &Tensor, rows: &Tensor, layer: &Linear) -> Result<Tensor> {
        let rows = self.embedding.adapt(ids, rows, layer)?;
        tape::mul(&rows, &self.factor(layer, Mode::INFERENCE)?)
    }

    fn merged(&self, weight: &Tensor) -> Result<Tensor> {
        self.magnitude.applied(&self.embedding.merged(weight)?, 0)
    }

    fn parameters(&self) -> Vec<(&'static str, &Var)> {
        let mut parameters = self.embedding.parameters();
        parameters.push(self.magnitude.parameter());
        parameters
    }

    fn frozen(&self, layer: &Linear) -> Result<Arc<dyn Adapter>> {
        let factor = self.factor(layer, Mode::INFERENCE)?;
        Ok(Arc::new(Self {
            embedding: self.embedding.clone(),
            magnitude: self.magnitude.frozen(factor),
        }))
    }
}

/// Square of the length of each column, `(D)` in float32.
fn column_squares(weight: &Weight) -> Result<Tensor> {
    sum(tiles(weight)?.map(|tile| Ok(tile?.1.sqr()?.sum(0)?)))
}

/// `A W` in float32, `(R, D)`; `a` is `(R, V)`.
fn products(a: &Tensor, weight: &Weight) -> Result<Tensor> {
    sum(tiles(weight)?.map(|tile| {
        let (start, rows) = tile?;
        matmul(&a.narrow(1, start, rows.dim(0)?)?, &rows)
    }))
}

/// Sum of some tensors of one shape, of which there is one at least.
fn sum(mut tensors: impl Iterator<Item = Result<Tensor>>) -> Result<Tensor> {
    let first = tensors.next().transpose()?;
    let first = first.ok_or_else(|| candle_core::Error::Msg("an embedding without rows".into()))?;
    tensors.try_fold(first, |sum, tensor| Ok((sum + tensor?)?))
}
