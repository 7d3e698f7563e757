use super::parts::{Dim, Part};
use super::{Adapter, Take};
use crate::lora::{Error, Linear, Mode, Placement};
use crate::random::normal;
use candle_core::{DType, Tensor, Var};
use metal_candle_kernels::{MatMulOptions, Result, matmul, matmul_with};
use std::sync::Arc;

pub(super) const A: &str = "lora_embedding_A";
pub(super) const B: &str = "lora_embedding_B";

#[rustfmt::skip]
pub(super) const PARTS: [Part; 2] = [
    Part { name: A, dims: &[Dim::Rank, Dim::In] },
    Part { name: B, dims: &[Dim::Out, Dim::Rank] },
];

/// `W[id] + scale * B A[id]` for each token id, `A[id]` a column; nothing is dropped (PEFT's `Embedding`).
#[derive(Clone, Debug)]
pub(super) struct Embedding {
    /// `(R, V)`.
    pub(super) a: Var,
    /// `(D, R)`.
    pub(super) b: Var,
    /// Factor of the update.
    pub(super) scale: f64,
}

impl Embedding {
    /// `A` zero, `B` normal, as PEFT begins.
    pub(super) fn fresh(
        place: &Placement,
        layer: &Linear,
        seed: u64,
    ) -> std::result::Result<Self, Error> {
        let shape = (place.out_features, place.r);
        let values = normal(seed, &format!("{}.{B}", place.path), shape.0 * shape.1, 1.0);
        Ok(Self {
            a: Var::zeros((place.r, place.in_features), DType::F32, layer.device())?,
            b: Var::from_tensor(&Tensor::from_vec(values, shape, layer.device())?)?,
            scale: place.scale,
        })
    }

    pub(super) fn with(place: &Placement, take: Take<'_>) -> std::result::Result<Self, Error> {
        let (a, b, scale) = (take(A)?, take(B)?, place.scale);
        Ok(Self { a, b, scale })
    }

    /// `rows + scale * B A[id]`; `ids` are `(..)`, `rows` are `(.., D)`.
    fn added(&self, ids: &Tensor, rows: &Tensor, mode: Mode) -> Result<Tensor> {
        let (a, b) = (mode.seen(&self.a), mode.seen(&self.b));
        let columns = a.t()?.contiguous()?.index_select(&ids.flatten_all()?, 0)?;
        let update = matmul(&columns, &b.t()?)?.reshape(rows.shape())?;
        Ok((rows + (update * self.scale)?)?)
    }
}

impl Adapter for Embedding {
    fn forward(&self, ids: &Tensor, layer: &Linear, mode: Mode) -> Result<Tensor> {
        self.added(ids, &layer.weight().gather(ids)?, mode)
    }

    fn adapt(&self, ids: &Tensor, rows: &Tensor, _: &Linear) -> Result<Tensor> {
        self.added(ids, rows, Mode::INFERENCE)
    }

    fn merged(&self, weight: &Tensor) -> Result<Tensor> {
        let options = MatMulOptions {
            alpha: self.scale,
            ..MatMulOptions::default()
        };
        let delta = matmul_with(&self.a.detach().t()?, &self.b.detach().t()?, None, options)?;
        Ok((weight.to_dtype(DType::F32)? + delta)?)
    }

    fn parameters(&self) -> Vec<(&'static str, &Var)> {
        vec![(A, &self.a), (B, &self.b)]
    }

    fn frozen(&self, _: &Linear) -> Result<Arc<dyn Adapter>> {
        Ok(Arc::new(self.clone()))
    }
}
