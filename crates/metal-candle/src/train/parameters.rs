use super::{Error, Result};
use crate::lora::{AdapterSet, Context, Mode};
use crate::models::Model;
use candle_core::{DType, Var};
use std::sync::Arc;

/// The part of a model that a parameter belongs to, in the order of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Segment {
    /// The token embedding.
    Embedding,
    /// A transformer block.
    Block(usize),
    /// The last norm and the output head.
    Head,
}

impl Segment {
    fn of(name: &str) -> Self {
        if name.starts_with("model.embed_tokens.") {
            return Self::Embedding;
        }
        let block = name
            .strip_prefix("model.layers.")
            .and_then(|rest| rest.split('.').next())
            .and_then(|index| index.parse().ok());
        block.map_or(Self::Head, Self::Block)
    }
}

/// A tensor that is trained, float32.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Name in an adapter without PEFT's prefix, or in a checkpoint.
    pub name: String,
    /// The values.
    pub var: Var,
    /// Where it acts.
    pub segment: Segment,
}

/// Everything that is trained.
#[derive(Clone, Debug)]
pub struct Parameters {
    all: Vec<Parameter>,
    adapters: Option<Arc<AdapterSet>>,
}

impl Parameters {
    /// Tensors of `set`, which every pass of the training computes with.
    #[must_use]
    pub fn of_adapters(set: Arc<AdapterSet>) -> Self {
        Self::named(set.parameters(), Some(set))
    }

    /// All weights of `model`, which become float32 variables.
    ///
    /// # Errors
    /// When a weight is packed, or memory runs out.
    pub fn all_weights(model: &mut Model) -> Result<Self> {
        if let Some((path, _)) = model.decoder.packed().next() {
            return Err(Error::Packed { path });
        }
        let mut parameters = vec![];
        for (name, weight) in model.decoder.weights_mut() {
            let var = Var::from_tensor(&weight.to_dtype(DType::F32)?)?;
            *weight = var.as_tensor().clone();
            parameters.push((name, var));
        }
        Ok(Self::named(parameters, None))
    }

    fn named(parameters: Vec<(String, Var)>, adapters: Option<Arc<AdapterSet>>) -> Self {
        let parameters = parameters.into_iter().map(|(name, var)| Parameter {
            segment: Segment::of(&name),
            name,
            var,
        });
        Self {
            all: parameters.collect(),
            adapters,
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
