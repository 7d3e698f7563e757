use super::parts::{Dim, Part};
use super::{Adapter, Shapes, Take, Tied, shapes_of};
use crate::device::snapshot;
use crate::lora::{Error, Kind, Linear, Mode, Placement};
use candle_core::{D, DType, Tensor, Var};
use metal_candle_kernels::{Result, Weight, linear, upload};
use std::sync::Arc;

/// Name of the rows, after the path of the layer.
pub(in crate::lora) const ROWS: &str = "token_adapter.trainable_tokens_delta";

#[rustfmt::skip]
pub(super) const PARTS: [Part; 1] = [
    Part { name: ROWS, dims: &[Dim::Token, Dim::Width] },
];

/// Other rows of some tokens in place of the weight's (PEFT's `trainable_token_indices`), of a token embedding or an
/// output head.
#[derive(Clone, Debug)]
pub(super) struct Tokens {
    /// The rows, `(n, D)`.
    rows: Var,
    /// Rows of the weight that they replace, `(n, D)` in float32.
    replaced: Tensor,
    /// The tokens, `(n)`.
    ids: Tensor,
    /// Place of each token of the vocabulary among the rows, counted from 1, or 0: `(V)`.
    places: Tensor,
    kind: Kind,
    /// Whether the rows are those of the embedding's adapter.
    is_tied: bool,
}

pub(super) fn shapes(place: &Placement) -> Shapes {
    match place.tied_to {
        Some(_) => vec![],
        None => shapes_of(&PARTS, place),
    }
}

impl Tokens {
    /// The weight's own rows, to begin with.
    pub(super) fn fresh(
        place: &Placement,
        layer: &Linear,
        other: Tied<'_>,
    ) -> std::result::Result<Self, Error> {
        let replaced = replaced(place, layer)?;
        let own = snapshot(&replaced)?;
        Self::new(place, layer, replaced, other, &mut |_| {
            Ok(Var::from_tensor(&own)?)
        })
    }

    pub(super) fn with(
        place: &Placement,
        layer: &Linear,
        other: Tied<'_>,
        take: Take<'_>,
    ) -> std::result::Result<Self, Error> {
        Self::new(place, layer, replaced(place, layer)?, other, take)
    }

    fn new(
        place: &Placement,
        layer: &Linear,
        replaced: Tensor,
        other: Tied<'_>,
        take: Take<'_>,
    ) -> std::result::Result<Self, Error> {
        let tied = other.and_then(|other| {
            let mut parameters = other.parameters().into_iter();
            parameters.find(|(name, _)| *name == ROWS)
        });
        let (n_tokens, _) = layer.dims()?;
        let mut places = vec![0u32; n_tokens];
        for (id, i) in place.tokens.iter().zip(1..) {
            places[*id as usize] = i;
        }
        Ok(Self {
            rows: match tied {
                Some((_, rows)) => rows.clone(),
                None => take(ROWS)?,
            },
            replaced,
            ids: upload(&place.tokens, place.tokens.len(), layer.device())?,
            places: upload(&places, n_tokens, layer.device())?,
            kind: place.kind,
            is_tied: tied.is_some(),
        })
    }

    /// Product or rows of the layer, with the difference of the trained rows to those that they replace.
    fn added(&self, x: &Tensor, product: &Tensor, mode: Mode) -> Result<Tensor> {
        let update = (mode.seen(&self.rows) - &self.replaced)?;
        match self.kind {
            Kind::Linear => {
                let columns = linear(x, &Weight::Dense(update), None)?;
                Ok(product.index_add(&self.ids, &columns, D::Minus1)?)
            }
            Kind::Embedding => {
                let none = Tensor::zeros((1, update.dim(1)?), DType::F32, update.device())?;
                let updates = Tensor::cat(&[none, update], 0)?;
                let places = self.places.index_select(&x.flatten_all()?, 0)?;
                let updates = updates.index_select(&places, 0)?;
                Ok((product + updates.reshape(product.shape())?)?)
            }
        }
    }
}

/// Rows of the weight that are replaced, `(n, D)` in float32.
fn replaced(place: &Placement, layer: &Linear) -> std::result::Result<Tensor, Error> {
    let (n_tokens, _) = layer.dims()?;
    if let Some(id) = place.tokens.iter().find(|id| **id as usize >= n_tokens) {
        return Err(Error::NoToken {
            id: *id,
            vocab_size: n_tokens,
        });
    }
    let ids = upload(&place.tokens, place.tokens.len(), layer.device())?;
    Ok(layer.weight().gather(&ids)?.detach())
}

impl Adapter for Tokens {
    fn forward(&self, x: &Tensor, layer: &Linear, mode: Mode) -> Result<Tensor> {
        let product = match self.kind {
            Kind::Linear => linear(x, layer.weight(), layer.bias())?,
            Kind::Embedding => layer.weight().gather(x)?,
        };
        self.added(x, &product, mode)
    }

    fn adapt(&self, x: &Tensor, product: &Tensor, _: &Linear) -> Result<Tensor> {
        self.added(x, product, Mode::INFERENCE)
    }

    fn merged(&self, weight: &Tensor) -> Result<Tensor> {
        let weight = weight.to_dtype(DType::F32)?;
        let old = weight.index_select(&self.ids, 0)?;
        let without = weight.index_add(&self.ids, &old.neg()?, 0)?;
        Ok(without.index_add(&self.ids, &self.rows.as_detached_tensor(), 0)?)
    }

    fn parameters(&self) -> Vec<(&'static str, &Var)> {
        match self.is_tied {
            true => vec![],
            false => vec![(ROWS, &self.rows)],
        }
    }

    fn frozen(&self, _: &Linear) -> Result<Arc<dyn Adapter>> {
        Ok(Arc::new(self.clone()))
    }

    fn tokens(&self) -> Result<Vec<u32>> {
        Ok(self.ids.to_vec1()?)
    }
}
