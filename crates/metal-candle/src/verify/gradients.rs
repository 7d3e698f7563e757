use super::check::{Figures, listed};
use crate::data::Batch;
use crate::device::read_back;
use crate::lora::{Mode, layer_of};
use crate::train::step::step;
use crate::train::{Network, Parameter, Parameters, Result};
use candle_core::Tensor;
use serde::Serialize;

/// Gradients of one pass, forward and backward, that takes no step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gradients {
    /// Number of tensors that are trained.
    pub tensors: usize,
    /// Number of those with a gradient that is not zero everywhere.
    pub reached: usize,
    /// Number of those whose gradient is zero because another tensor of their layer still is: the next step moves that.
    pub waiting: usize,
    /// Names of the tensors that no gradient reaches, or one of zeros only.
    pub unreached: Vec<String>,
    /// Names of the tensors whose gradient is NaN or infinite somewhere.
    pub not_finite: Vec<String>,
    /// Least of the largest elements of the gradients that are not zero; `None` where all are.
    pub smallest: Option<f64>,
    /// Tokens that had a loss.
    pub tokens: usize,
    /// Mean of it, in nats.
    pub loss: f64,
}

/// Largest elements of a tensor that is trained and of its gradient.
struct Sizes<'a> {
    parameter: &'a Parameter,
    value: f64,
    /// `None` where no gradient came.
    gradient: Option<f64>,
}

/// Measures which of `parameters` the loss of `batch` reaches.
///
/// # Errors
/// Those of [`step`].
pub fn gradients(
    network: &impl Network,
    parameters: &Parameters,
    batch: &Batch,
) -> Result<Gradients> {
    let result = step(network, parameters, batch, Mode::training(0), false)?;
    let pairs = parameters
        .as_slice()
        .iter()
        .zip(result.gradients.as_slice());
    let sizes = pairs.map(|(parameter, gradient)| {
        Ok(Sizes {
            parameter,
            value: largest(parameter.var.as_tensor())?,
            gradient: gradient.as_ref().map(largest).transpose()?,
        })
    });
    let sizes: Vec<Sizes<'_>> = sizes.collect::<Result<_>>()?;
    Ok(Gradients {
        tokens: result.tokens,
        loss: result.loss_sum / result.tokens as f64,
        ..of_sizes(&sizes)
    })
}

fn of_sizes(sizes: &[Sizes<'_>]) -> Gradients {
    let names = |of: &dyn Fn(&Sizes<'_>) -> bool| -> Vec<String> {
        let chosen = sizes.iter().filter(|size| of(size));
        chosen.map(|size| size.parameter.name.clone()).collect()
    };
    let waits = |size: &Sizes<'_>| size.is_zero() && sizes.iter().any(|other| other.holds(size));
    let reaching = sizes.iter().filter(|size| size.reaches());
    Gradients {
        tensors: sizes.len(),
        reached: reaching.clone().count(),
        waiting: names(&waits).len(),
        unreached: names(&|size| size.gradient.is_none() || (size.is_zero() && !waits(size))),
        not_finite: names(&|size| size.gradient.is_some_and(|size| !size.is_finite())),
        smallest: reaching.filter_map(|size| size.gradient).reduce(f64::min),
        tokens: 0,
        loss: 0.0,
    }
}

impl Sizes<'_> {
    fn is_zero(&self) -> bool {
        self.gradient == Some(0.0)
    }

    fn reaches(&self) -> bool {
        self.gradient
            .is_some_and(|size| size > 0.0 && size.is_finite())
    }

    /// Whether this is zero itself, on the same layer as `other`, and about to move.
    fn holds(&self, other: &Self) -> bool {
        let layer = layer_of(&self.parameter.name);
        let is_same_layer = layer.is_some() && layer == layer_of(&other.parameter.name);
        is_same_layer && self.value == 0.0 && self.reaches()
    }
}

/// The largest element without its sign; NaN where there is one.
fn largest(tensor: &Tensor) -> Result<f64> {
    let flat = tensor.detach().flatten_all()?;
    // A maximum may pass over NaN; zero times NaN or infinity is NaN.
    let both = Tensor::stack(&[flat.abs()?.max(0)?, flat.affine(0.0, 0.0)?.sum_all()?], 0)?;
    let both = read_back(tensor.device(), || both.to_vec1::<f32>())?;
    Ok(f64::from(both[0] + both[1]))
}

impl Figures for Gradients {
    const NAME: &'static str = "gradients";

    fn passed(&self) -> bool {
        let all = self.reached + self.waiting;
        self.tokens > 0 && self.tensors > 0 && all == self.tensors && self.loss.is_finite()
    }

    fn text(&self) -> String {
        if self.tokens == 0 {
            return "no token has a loss".into();
        }
        let mut text = format!(
            "reach {} of {} tensors, from {} tokens of loss {:.3}",
            self.reached, self.tensors, self.tokens, self.loss
        );
        if let Some(smallest) = self.smallest {
            text += &format!("; the smallest is {smallest:.1e}");
        }
        if self.waiting > 0 {
            text += &format!("; {} wait for a factor that is still zero", self.waiting);
        }
        if !self.unreached.is_empty() {
            text += &format!("; none at {}", listed(&self.unreached));
        }
        if !self.not_finite.is_empty() {
            text += &format!("; not finite at {}", listed(&self.not_finite));
        }
        text
    }
}
