use super::{Error, Result};
use crate::lora::{AdapterSet, Context, Mode, is_b};
use crate::models::{Decoder, Model, Segment};
use candle_core::{DType, Tensor, Var};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// A tensor that is trained, float32.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Name in an adapter without PEFT's prefix, or in a checkpoint.
    pub name: String,
    /// The values.
    pub var: Var,
    /// Where it acts.
    pub segment: Segment,
    /// Factor of its learning rate.
    pub rate: f64,
    /// Factor of its weight decay.
    pub decay: f64,
}

/// Everything that is trained.
#[derive(Clone, Debug)]
pub struct Parameters {
    all: Vec<Parameter>,
    adapters: Option<Arc<AdapterSet>>,
}

impl Parameters {
    /// Parameters of a model of the user's own, in the order of the data.
    #[must_use]
    pub fn new(all: Vec<Parameter>) -> Self {
        Self {
            all,
            adapters: None,
        }
    }

    /// Tensors of `set`, adapters of `decoder`, which every pass of the training computes with.
    #[must_use]
    pub fn of_adapters(set: Arc<AdapterSet>, decoder: &Decoder) -> Self {
        let parts = decoder.parts().into_iter();
        let segments: BTreeMap<&str, Segment> = parts
            .map(|(segment, part)| (part.path(), segment))
            .collect();
        let all = set.adapters().flat_map(|(path, adapter)| {
            // The head that is the embedding is no part of its own.
            let segment = segments.get(path).copied().unwrap_or(Segment::Head);
            let named = adapter.parameters().into_iter();
            named.map(move |(name, var)| Parameter {
                name: format!("{path}.{name}"),
                var: var.clone(),
                segment,
                rate: 1.0,
                decay: 1.0,
            })
        });
        Self {
            all: all.collect(),
            adapters: Some(set.clone()),
        }
    }

    /// All weights of `model`, which become float32 variables. Biases and the weights of norms do not decay.
    ///
    /// # Errors
    /// When a weight is packed, or memory runs out.
    pub fn all_weights(model: &mut Model) -> Result<Self> {
        Self::weights(model, |_| true)
    }

    /// Weights of those segments of `model` that `is_trained` names, which become float32 variables. Biases and the weights
    /// of norms do not decay, as with transformers' `Trainer`.
    ///
    /// # Errors
    /// When a weight of the model is packed, or memory runs out.
    pub fn weights(model: &mut Model, is_trained: impl Fn(Segment) -> bool) -> Result<Self> {
        if let Some((path, _)) = model.decoder.packed().next() {
            let path = path.to_string();
            return Err(Error::Packed { path });
        }
        let mut parameters = vec![];
        let parts = model.decoder.parts_mut().into_iter();
        for (segment, part) in parts.filter(|(segment, _)| is_trained(*segment)) {
            part.replace(&mut |name, weight| {
                let var = Var::from_tensor(&weight.to_dtype(DType::F32)?)?;
                let name = name.to_string();
                parameters.push(Parameter {
                    name,
                    var: var.clone(),
                    segment,
                    rate: 1.0,
                    decay: decay_of(&var),
                });
                Ok::<_, Error>(var.into_inner())
            })?;
        }
        Ok(Self::new(parameters))
    }

    /// Parameters of which every `B` of a linear layer's adapter learns `ratio` times as fast as its `A` (LoRA+:
    /// Hayou, Ghosh, Yu 2024, arXiv 2402.12354), and with it every vector, which is a magnitude of DoRA: the groups of PEFT's
    /// `create_loraplus_optimizer`, whose rate of embeddings is here the learning rate.
    #[must_use]
    pub fn lora_plus(mut self, ratio: f64) -> Self {
        for parameter in self.all.iter_mut().filter(|p| is_fast(p)) {
            parameter.rate = ratio;
        }
        self
    }

    /// Parameters that all decay, as mlx-lm's do.
    #[must_use]
    pub fn all_decaying(mut self) -> Self {
        for parameter in &mut self.all {
            parameter.decay = 1.0;
        }
        self
    }

    /// Parameters of these blocks, which are counted from the first of them, and of what is no block.
    pub(super) fn of_blocks(&self, blocks: Range<usize>) -> Self {
        let of = |parameter: &Parameter| {
            let segment = match parameter.segment {
                Segment::Block(i) if blocks.contains(&i) => Segment::Block(i - blocks.start),
                Segment::Block(_) => return None,
                other => other,
            };
            Some(Parameter {
                segment,
                ..parameter.clone()
            })
        };
        Self {
            all: self.all.iter().filter_map(of).collect(),
            adapters: self.adapters.clone(),
        }
    }

    /// The parameters in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Parameter] {
        &self.all
    }

    /// Adapters that are trained; `None` where weights of the model are.
    #[must_use]
    pub fn adapters(&self) -> Option<Arc<AdapterSet>> {
        self.adapters.clone()
    }

    /// Context of a pass with what is trained.
    #[must_use]
    pub fn context(&self, mode: Mode) -> Context {
        Context::new(mode, self.adapters())
    }

    /// Names and values, as files hold them.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn stored(&self) -> Result<Vec<(String, Tensor)>> {
        let values = || {
            let all = self.to_vec().into_iter();
            all.map(|(name, var)| (name, var.as_detached_tensor()))
        };
        match &self.adapters {
            Some(set) => Ok(set.stored()?),
            None => Ok(values().collect()),
        }
    }

    /// Names and values.
    #[must_use]
    pub fn to_vec(&self) -> Vec<(String, Var)> {
        self.all
            .iter()
            .map(|p| (p.name.clone(), p.var.clone()))
            .collect()
    }

    /// Number of values that are trained.
    #[must_use]
    pub fn n_values(&self) -> usize {
        self.all.iter().map(|p| p.var.elem_count()).sum()
    }

    /// The first segment with a parameter: below it nothing needs a gradient.
    #[must_use]
    pub fn first_segment(&self) -> Segment {
        self.all
            .iter()
            .map(|p| p.segment)
            .min()
            .unwrap_or(Segment::Head)
    }
}

/// Whether LoRA+ has the parameter learn faster.
fn is_fast(parameter: &Parameter) -> bool {
    is_b(&parameter.name) || parameter.var.rank() == 1
}

/// Factor of the weight decay of a model's weight: that of matrices is one, that of vectors, which are biases and the weights of
/// norms, zero.
fn decay_of(weight: &Tensor) -> f64 {
    match weight.rank() {
        0 | 1 => 0.0,
        _ => 1.0,
    }
}
