use super::super::{Error, Result};
use super::{Adafactor, Adam, Adam8bit, Muon, Sgd};
use candle_core::{DType, Tensor, Var};
use serde::Serialize;

/// A rule by which parameters follow their gradients, with its settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Rule {
    /// Adam, and AdamW with its decay of weights.
    Adam(Adam),
    /// AdamW whose moments take eight bits.
    Adam8bit(Adam8bit),
    /// Steps along the gradient, with momentum or without.
    Sgd(Sgd),
    /// Steps of matrices whose singular values are all about one.
    Muon(Muon),
    /// Adam with the means of squares of rows and columns only.
    Adafactor(Adafactor),
}

impl Default for Rule {
    /// AdamW with PyTorch's settings.
    fn default() -> Self {
        Self::Adam(Adam::default())
    }
}

impl Rule {
    fn of(&self) -> &dyn Steps {
        match self {
            Self::Adam(rule) => rule,
            Self::Adam8bit(rule) => rule,
            Self::Sgd(rule) => rule,
            Self::Muon(rule) => rule,
            Self::Adafactor(rule) => rule,
        }
    }

    /// Its name in the field.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.of().name()
    }

    pub(super) fn slots(&self, dims: &[usize]) -> Vec<Slot> {
        self.of().slots(dims)
    }

    pub(super) fn step(&self, now: &Now, updates: &[Update<'_>]) -> Result<()> {
        self.of().step(now, updates)
    }

    pub(super) fn check(&self) -> Result<()> {
        self.of().check()
    }
}

/// Steps of a rule.
pub(super) trait Steps {
    fn name(&self) -> &'static str;

    /// Refuses settings that make no step.
    fn check(&self) -> Result<()>;

    /// What is kept of a parameter with these dimensions.
    fn slots(&self, dims: &[usize]) -> Vec<Slot>;

    /// Changes parameters and their states, in place.
    fn step(&self, now: &Now, updates: &[Update<'_>]) -> Result<()>;
}

/// A tensor that is kept of a parameter, zeros at first.
pub(super) struct Slot {
    pub(super) name: &'static str,
    pub(super) dims: Vec<usize>,
    pub(super) dtype: DType,
    /// The least value that it comes to.
    pub(super) least: f32,
}

impl Slot {
    /// A mean of gradients.
    pub(super) fn mean(name: &'static str, dims: &[usize]) -> Self {
        Self::new(name, dims, DType::F32, f32::MIN)
    }

    /// A mean of squares, or largest magnitudes.
    pub(super) fn squares(name: &'static str, dims: &[usize]) -> Self {
        Self::new(name, dims, DType::F32, 0.0)
    }

    /// Codes of eight bits.
    pub(super) fn codes(name: &'static str, dims: &[usize]) -> Self {
        Self::new(name, dims, DType::U8, 0.0)
    }

    fn new(name: &'static str, dims: &[usize], dtype: DType, least: f32) -> Self {
        Self {
            name,
            dims: dims.to_vec(),
            dtype,
            least,
        }
    }
}

/// Place where a run stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// Number of the step, from 1.
    pub(super) step: usize,
    pub(super) learning_rate: f64,
    /// Factor of the rule's weight decay.
    pub(super) decay: f64,
    /// Factor of every gradient.
    pub(super) gradient_scale: f64,
}

impl Now {
    /// The place as parameters with these factors of learning rate and weight decay have it.
    pub(super) fn with(self, factors: Factors) -> Self {
        Self {
            learning_rate: self.learning_rate * factors.rate,
            decay: self.decay * factors.decay,
            ..self
        }
    }
}

/// Factors of a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Factors {
    /// Factor of its learning rate.
    pub(super) rate: f64,
    /// Factor of its weight decay.
    pub(super) decay: f64,
}

/// One parameter with its gradient and its state.
#[derive(Clone, Copy)]
pub(super) struct Update<'a> {
    pub(super) parameter: &'a Var,
    pub(super) gradient: &'a Tensor,
    pub(super) state: &'a [Var],
}

impl Update<'_> {
    /// Gradient, times its factor and plus that of the decay, `weight_decay / 2 |parameter|^2` times its factor.
    pub(super) fn gradient(&self, now: &Now, weight_decay: f64) -> Result<Tensor> {
        let gradient = (self.gradient * now.gradient_scale)?;
        let weight_decay = weight_decay * now.decay;
        match weight_decay == 0.0 {
            true => Ok(gradient),
            false => Ok((gradient + (self.parameter.detach() * weight_decay)?)?),
        }
    }
}

/// A setting that must be in a range.
pub(super) fn check(
    what: &'static str,
    value: f64,
    expected: &'static str,
    is_right: bool,
) -> Result<()> {
    match is_right {
        true => Ok(()),
        false => Err(Error::Setting {
            what,
            expected,
            got: value.to_string(),
        }),
    }
}

/// A share, such as a momentum.
pub(super) fn check_share(what: &'static str, value: f64) -> Result<()> {
    check(what, value, "in [0, 1)", (0.0..1.0).contains(&value))
}

/// A weight decay.
pub(super) fn check_decay(value: f64) -> Result<()> {
    let is_right = value.is_finite() && value >= 0.0;
    check("weight_decay", value, "0 or more", is_right)
}
