//! Methods by which an adapter changes a layer. A method is one file: its tensors by the names that files have,
//! fresh values, the layer with it, and the weight it comes to.

mod dora;
mod dora_embedding;
mod embedding;
mod factor;
mod loha;
mod lora;
mod magnitude;
pub(super) mod parts;
mod residual;
pub(super) mod tokens;
mod whole;

use super::{Error, Kind, Linear, Mode, Placement};
use candle_core::{Tensor, Var};
use dora::Dora;
use dora_embedding::DoraEmbedding;
use embedding::Embedding;
use loha::Loha;
use lora::Lora;
use metal_candle_kernels::{Dropout, LoraWeights, Result};
use parts::Part;
use residual::Residual;
use std::sync::Arc;
use tokens::Tokens;
use whole::Whole;

/// A way to adapt a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// `W + scale * B A` (Hu et al. 2021, <https://arxiv.org/abs/2106.09685>).
    #[default]
    Lora,
    /// The direction of the rows of `W + scale * B A`, and a trained length of each (Liu et al. 2024,
    /// <https://arxiv.org/abs/2402.09353>).
    Dora,
    /// `W + scale * (W1a W1b * W2a W2b)`, products element by element between (LyCORIS; Hyeon-Woo, Ye-Bin, Oh 2021,
    /// <https://arxiv.org/abs/2108.06098>).
    Loha,
    /// Another weight in place of `W`.
    Whole,
    /// Other rows of some tokens in place of those of `W`.
    Tokens,
}

/// Whether a trained tensor of this name is the `B` of LoRA on a linear layer, which begins at zero; of an embedding, `A` does.
#[must_use]
pub fn is_b(name: &str) -> bool {
    name.ends_with(lora::B)
}

/// The `A` of LoRA on a linear layer; `None` of another adapter, and where it is that of another layer.
pub(super) fn factor_a(adapter: &dyn Adapter) -> Option<&Var> {
    let mut parameters = adapter.parameters().into_iter();
    let (_, a) = parameters.find(|(name, _)| *name == lora::A)?;
    Some(a)
}

/// Path of the layer that a trained tensor of this name is a factor of; `None` for a whole weight.
#[must_use]
pub fn layer_of(name: &str) -> Option<&str> {
    parts::of_name(name).map(|(path, _)| path)
}

/// Trained part of one layer, float32 whatever the dtype of the layer's weight.
pub trait Adapter: std::fmt::Debug + Send + Sync {
    /// Result of `layer` with the adapter: `(.., K)` to `(.., N)`, or token ids `(..)` to `(.., D)`
    /// where it is an embedding. Outside training no graph is recorded.
    ///
    /// # Errors
    /// When the width of `x` differs.
    fn forward(&self, x: &Tensor, layer: &Linear, mode: Mode) -> Result<Tensor>;

    /// Product `x W^T` of some tokens, `(M, N)`, or rows of an embedding, as the adapter changes it,
    /// outside training; `x` is `(M, K)`, or ids `(M)`. The bias comes later.
    ///
    /// # Errors
    /// When a shape differs.
    fn adapt(&self, x: &Tensor, product: &Tensor, layer: &Linear) -> Result<Tensor>;

    /// Weight `(N, K)` in float32 that computes without the adapter what `weight` does with it.
    ///
    /// # Errors
    /// When memory runs out.
    fn merged(&self, weight: &Tensor) -> Result<Tensor>;

    /// Weight in place of the layer's, where that is all that the adapter does.
    fn weight(&self, _: Mode) -> Option<Tensor> {
        None
    }

    /// Matrices of LoRA, where the layer with the adapter is its own result and their product.
    ///
    /// # Errors
    /// When memory runs out.
    fn low_rank(&self, _: Mode) -> Result<Option<LowRank>> {
        Ok(None)
    }

    /// Trained tensors with their names, but for those of another layer's adapter.
    fn parameters(&self) -> Vec<(&'static str, &Var)>;

    /// Tensors with their names, as files hold them.
    ///
    /// # Errors
    /// When memory runs out.
    fn stored(&self) -> Result<Vec<(&'static str, Tensor)>> {
        let parameters = self.parameters().into_iter();
        let stored = parameters.map(|(name, var)| Ok((name, var.as_detached_tensor())));
        stored.collect()
    }

    /// Adapter for passes that train nothing, with everything computed that does not depend on the
    /// tokens: its parameters may not change any more.
    ///
    /// # Errors
    /// When memory runs out.
    fn frozen(&self, layer: &Linear) -> Result<Arc<dyn Adapter>>;

    /// Tokens whose rows are all that is trained; none where it is more.
    ///
    /// # Errors
    /// When the device fails.
    fn tokens(&self) -> Result<Vec<u32>> {
        Ok(vec![])
    }
}

/// Matrices of LoRA in a pass.
#[derive(Clone, Debug)]
pub struct LowRank {
    /// `(R, K)`.
    a: Tensor,
    /// `(N, R)`.
    b: Tensor,
    scale: f64,
    dropout: Option<Dropout>,
}

impl LowRank {
    /// The matrices, for an operation.
    pub(super) fn weights(&self) -> LoraWeights<'_> {
        LoraWeights {
            a: &self.a,
            b: &self.b,
            scale: self.scale,
            dropout: self.dropout,
        }
    }
}

/// Names and shapes of the tensors of an adapter.
pub(super) type Shapes = Vec<(&'static str, Vec<usize>)>;

fn shapes_of(parts: &[Part], place: &Placement) -> Shapes {
    let shapes = parts.iter().map(|part| (part.name, part.shape(place)));
    shapes.collect()
}

impl Method {
    /// Methods of adapters that may be asked for by name.
    pub const ADAPTERS: [Self; 3] = [Self::Lora, Self::Dora, Self::Loha];

    /// Method of an adapter by its name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let mut all = Self::ADAPTERS.into_iter();
        all.find(|method| method.name() == name)
    }

    /// Whether its update is LoRA's, `scale * B A`: what else is said of that holds for it.
    #[must_use]
    pub fn has_lora(self) -> bool {
        matches!(self, Self::Lora | Self::Dora)
    }

    /// Whether its update has a rank.
    #[must_use]
    pub fn has_rank(self) -> bool {
        !matches!(self, Self::Whole | Self::Tokens)
    }

    /// Name of the method, as mlx-lm and PEFT have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lora => "lora",
            Self::Dora => "dora",
            Self::Loha => "loha",
            Self::Whole => "whole",
            Self::Tokens => "tokens",
        }
    }

    pub(super) fn shapes(self, place: &Placement) -> Shapes {
        match (self, place.kind) {
            (Self::Whole, _) => whole::shapes(place),
            (Self::Tokens, _) => tokens::shapes(place),
            (Self::Lora, Kind::Embedding) => shapes_of(&embedding::PARTS, place),
            (Self::Dora, Kind::Embedding) => dora_embedding::shapes(place),
            (Self::Lora, Kind::Linear) => lora::shapes(place),
            (Self::Dora, Kind::Linear) => dora::shapes(place),
            (Self::Loha, _) => shapes_of(&loha::PARTS, place),
        }
    }

    /// Adapter that changes nothing before it is trained.
    pub(super) fn fresh(
        self,
        place: &Placement,
        layer: &Linear,
        other: Tied<'_>,
        seed: u64,
    ) -> Made {
        Ok(match (self, place.kind) {
            (Self::Whole, _) => Arc::new(Whole::fresh(place, layer, other)?),
            (Self::Tokens, _) => Arc::new(Tokens::fresh(place, layer, other)?),
            (Self::Lora, Kind::Embedding) => Arc::new(Embedding::fresh(place, layer, seed)?),
            (Self::Dora, Kind::Embedding) => Arc::new(DoraEmbedding::fresh(place, layer, seed)?),
            (Self::Lora, Kind::Linear) => match place.init {
                init if init.is_of_weight() => Arc::new(Residual::fresh(place, layer, seed)?),
                _ => Arc::new(Lora::fresh(place, layer, other, seed)?),
            },
            (Self::Dora, Kind::Linear) => Arc::new(Dora::fresh(place, layer, other, seed)?),
            (Self::Loha, _) => Arc::new(Loha::fresh(place, layer, seed)?),
        })
    }

    /// Adapter of the tensors that `take` gives for [`Self::shapes`].
    pub(super) fn with(
        self,
        place: &Placement,
        layer: &Linear,
        other: Tied<'_>,
        take: Take<'_>,
    ) -> Made {
        Ok(match (self, place.kind) {
            (Self::Whole, _) => Arc::new(Whole::with(place, other, take)?),
            (Self::Tokens, _) => Arc::new(Tokens::with(place, layer, other, take)?),
            (Self::Lora, Kind::Embedding) => Arc::new(Embedding::with(place, take)?),
            (Self::Dora, Kind::Embedding) => Arc::new(DoraEmbedding::with(place, layer, take)?),
            (Self::Lora, Kind::Linear) => match place.init {
                init if init.is_of_weight() => Arc::new(Residual::with(place, layer, take)?),
                _ => Arc::new(Lora::with(place, other, take)?),
            },
            (Self::Dora, Kind::Linear) => Arc::new(Dora::with(place, layer, other, take)?),
            (Self::Loha, _) => Arc::new(Loha::with(place, take)?),
        })
    }
}

/// Adapter at `place` whose factors began as a part of the weight, from the `plain` one that files hold.
pub(super) fn residual(place: &Placement, plain: &dyn Adapter) -> Made {
    Ok(Arc::new(Residual::of_plain(place, plain)?))
}

/// Adapter of the token embedding, where that of the output head is the same.
pub(super) type Tied<'a> = Option<&'a dyn Adapter>;

pub(super) type Made = std::result::Result<Arc<dyn Adapter>, Error>;

/// Source of a tensor by its name.
pub(super) type Take<'a> = &'a mut dyn FnMut(&'static str) -> std::result::Result<Var, Error>;
