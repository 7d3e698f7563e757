use super::Result;
use super::layers::norm::NormKind;
use super::layers::{RmsNorm, Sinks};
use super::packed;
use super::weights::{Init, Weights};
use crate::lora::Linear;

/// Weights below a path of a checkpoint.
pub(super) struct Scope<'a> {
    weights: &'a Weights<'a>,
    path: String,
}

impl<'a> Scope<'a> {
    /// All weights.
    pub(super) fn new(weights: &'a Weights<'a>) -> Self {
        Self {
            weights,
            path: String::new(),
        }
    }

    /// Weights below `name`.
    pub(super) fn below(&self, name: &str) -> Self {
        Self {
            weights: self.weights,
            path: self.full(name),
        }
    }

    /// Linear layer `name`, whose weight is `(out_features, in_features)`.
    pub(super) fn linear(&self, name: &str, dims: (usize, usize), bias: bool) -> Result<Linear> {
        let path = self.full(name);
        let weight = packed::matrix(self.weights, &path, dims)?;
        let bias = bias.then(|| {
            self.weights
                .get(&format!("{path}.bias"), dims.0, Init::Zeros)
        });
        Ok(Linear::new(&path, weight, bias.transpose()?))
    }

    /// Norm `name` of `width` numbers.
    pub(super) fn norm(&self, name: &str, width: usize, kind: NormKind) -> Result<RmsNorm> {
        let path = self.full(name);
        let init = match kind.plus_one {
            true => Init::Zeros,
            false => Init::Ones,
        };
        let weight = self.weights.get(&format!("{path}.weight"), width, init)?;
        RmsNorm::new(path, weight, kind)
    }

    /// Sinks of `n_heads` heads of the attention layer that is here.
    pub(super) fn sinks(&self, n_heads: usize) -> Result<Sinks> {
        let name = self.full(Sinks::NAME);
        let stored = self.weights.get(&name, n_heads, Init::Normal)?;
        Ok(Sinks::new(self.path.clone(), stored)?)
    }

    fn full(&self, name: &str) -> String {
        match self.path.is_empty() {
            true => name.into(),
            false => format!("{}.{name}", self.path),
        }
    }
}
