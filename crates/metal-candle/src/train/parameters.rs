use super::{Error, Result};
use crate::lora;
use crate::models::Model;
use candle_core::{DType, Var};

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

/// Everything that is trained, in the model's order.
#[derive(Clone, Debug)]
pub struct Parameters(Vec<Parameter>);

impl Parameters {
    /// The adapters that are attached to `model`.
    #[must_use]
    pub fn adapters(model: &Model) -> Self {
        Self::named(lora::parameters(model.decoder.linears()))
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
        Ok(Self::named(parameters))
    }

    fn named(parameters: Vec<(String, Var)>) -> Self {
        let parameters = parameters.into_iter().map(|(name, var)| Parameter {
            segment: Segment::of(&name),
            name,
            var,
        });
        Self(parameters.collect())
    }

    /// The parameters in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Parameter] {
        &self.0
    }

    /// Names and values, as files hold them.
    #[must_use]
    pub fn to_vec(&self) -> Vec<(String, Var)> {
        self.0
            .iter()
            .map(|p| (p.name.clone(), p.var.clone()))
            .collect()
    }

    /// Number of values that are trained.
    #[must_use]
    pub fn n_values(&self) -> usize {
        self.0.iter().map(|p| p.var.elem_count()).sum()
    }

    /// The first segment with a parameter: below it nothing needs a gradient.
    #[must_use]
    pub fn first_segment(&self) -> Segment {
        self.0
            .iter()
            .map(|p| p.segment)
            .min()
            .unwrap_or(Segment::Head)
    }
}
