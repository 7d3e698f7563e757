use super::factor::Factor;
use super::parts::{Dim, Part};
use super::{Adapter, LowRank, Shapes, Take, Tied, embedding, shapes_of};
use crate::lora::{Error, Linear, Mode, Placement};
use crate::random::{name_stream, uniform};
use candle_core::{DType, Tensor, Var};
use metal_candle_kernels::{
    Dropout, Layer, MatMulOptions, Result, linear, linears, matmul_with, mix_seed,
};
use std::sync::Arc;

pub(super) const A: &str = "lora_A.weight";
pub(super) const B: &str = "lora_B.weight";

#[rustfmt::skip]
pub(super) const PARTS: [Part; 2] = [
    Part { name: A, dims: &[Dim::Rank, Dim::In] },
    Part { name: B, dims: &[Dim::Out, Dim::Rank] },
];

/// `x W^T + bias + scale * dropout(x) A^T B^T`.
#[derive(Clone, Debug)]
pub(super) struct Lora {
    /// Down projection, `(R, K)`.
    pub(super) a: Factor,
    /// Up projection, `(N, R)`.
    pub(super) b: Factor,
    /// Factor of the update.
    pub(super) scale: f64,
    /// Probability of dropping an element of the input while training.
    dropout: f64,
    /// Sets the dropout masks of this layer apart from those of others.
    stream: u64,
}

pub(super) fn shapes(place: &Placement) -> Shapes {
    if place.tied_to.is_some() {
        return vec![];
    }
    shapes_of(&PARTS, place)
}

impl Lora {
    /// `A` uniform in `±1/sqrt(K)` (PEFT's Kaiming initialisation with `a = sqrt(5)`), `B` zero.
    pub(super) fn fresh(
        place: &Placement,
        layer: &Linear,
        other: Tied<'_>,
        seed: u64,
    ) -> std::result::Result<Self, Error> {
        let (r, k, device) = (place.r, place.in_features, layer.device());
        let bound = 1.0 / (k as f64).sqrt();
        Self::new(place, other, &mut |name| {
            if name == B {
                return Ok(Var::zeros((place.out_features, r), DType::F32, device)?);
            }
            let values = uniform(seed, &format!("{}.lora_A", place.path), r * k, bound);
            Ok(Var::from_tensor(&Tensor::from_vec(
                values,
                (r, k),
                device,
            )?)?)
        })
    }

    pub(super) fn with(
        place: &Placement,
        other: Tied<'_>,
        take: Take<'_>,
    ) -> std::result::Result<Self, Error> {
        Self::new(place, other, take)
    }

    /// Factors of its own, or those of the embedding's adapter.
    fn new(place: &Placement, other: Tied<'_>, take: Take<'_>) -> std::result::Result<Self, Error> {
        let mut factor = |name, across| -> std::result::Result<_, Error> {
            match Factor::across(place, &other, across)? {
                Some(factor) => Ok(factor),
                None => Ok(Factor::Own(take(name)?)),
            }
        };
        Ok(Self {
            a: factor(A, embedding::B)?,
            b: factor(B, embedding::A)?,
            scale: place.scale,
            dropout: place.dropout,
            stream: name_stream(&place.path),
        })
    }

    /// `scale * B A` in float32, `(N, K)`.
    pub(super) fn delta(&self) -> Result<Tensor> {
        let options = MatMulOptions {
            alpha: self.scale,
            ..MatMulOptions::default()
        };
        matmul_with(&self.b.detach()?, &self.a.detach()?, None, options)
    }

    /// `x W^T + bias + scale * dropout(x) A^T B^T`.
    pub(super) fn beside(
        &self,
        x: &Tensor,
        layer: &Linear,
        bias: Option<&Tensor>,
        mode: Mode,
        dropout: Option<Dropout>,
    ) -> Result<Tensor> {
        let matrices = self.matrices(mode, dropout)?;
        let layer = Layer {
            weight: layer.weight(),
            bias,
            lora: Some(matrices.weights()),
        };
        let [y] = linears(x, [layer])?;
        Ok(y)
    }

    fn matrices(&self, mode: Mode, dropout: Option<Dropout>) -> Result<LowRank> {
        Ok(LowRank {
            a: self.a.seen(mode)?,
            b: self.b.seen(mode)?,
            scale: self.scale,
            dropout,
        })
    }

    pub(super) fn dropout(&self, mode: Mode) -> Result<Option<Dropout>> {
        match mode.dropout_seed() {
            Some(seed) if self.dropout > 0.0 => {
                Dropout::new(self.dropout, mix_seed(seed, self.stream)).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Adapter that is trained no more.
    pub(super) fn as_frozen(&self) -> Result<Self> {
        Ok(Self {
            a: self.a.frozen()?,
            b: self.b.frozen()?,
            ..self.clone()
        })
    }

    /// Adapter of these values, which has no parameters of its own.
    pub(super) fn of(a: Tensor, b: Tensor, scale: f64) -> Self {
        Self {
            a: Factor::Fixed(a),
            b: Factor::Fixed(b),
            scale,
            dropout: 0.0,
            stream: 0,
        }
    }

    /// `product + scale * x A^T B^T`, without a graph.
    pub(super) fn added(&self, x: &Tensor, product: &Tensor) -> Result<Tensor> {
        let (a, b) = (self.a.detach()?.into(), self.b.detach()?.into());
        let update = linear(&linear(x, &a, None)?, &b, None)?;
        Ok((product + (update * self.scale)?)?)
    }
}

impl Adapter for Lora {
    fn forward(&self, x: &Tensor, layer: &Linear, mode: Mode) -> Result<Tensor> {
        self.beside(x, layer, layer.bias(), mode, self.dropout(mode)?)
    }

    fn adapt(&self, x: &Tensor, product: &Tensor, _: &Linear) -> Result<Tensor> {
        self.added(x, product)
    }

    fn low_rank(&self, mode: Mode) -> Result<Option<LowRank>> {
        self.matrices(mode, self.dropout(mode)?).map(Some)
    }

    fn merged(&self, weight: &Tensor) -> Result<Tensor> {
        Ok((weight.to_dtype(DType::F32)? + self.delta()?)?)
    }

    fn parameters(&self) -> Vec<(&'static str, &Var)> {
        let factors = [(A, &self.a), (B, &self.b)].into_iter();
        factors
            .filter_map(|(name, factor)| Some((name, factor.own()?)))
            .collect()
    }

    fn frozen(&self, _: &Linear) -> Result<Arc<dyn Adapter>> {
        Ok(Arc::new(self.as_frozen()?))
    }
}
