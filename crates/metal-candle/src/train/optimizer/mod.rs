//! Rules by which parameters follow their gradients: one file a rule.

mod adafactor;
mod adam;
mod adam8bit;
mod blockwise;
mod lend;
mod muon;
mod rule;
mod sgd;
mod state;

pub use adafactor::Adafactor;
pub use adam::Adam;
pub use adam8bit::Adam8bit;
pub use muon::Muon;
pub use rule::Rule;
pub use sgd::Sgd;

use super::{Error, Gradients, Parameter, Parameters, Result, Resume};
use crate::files;
use candle_core::{DType, Device, Tensor, Var};
use rule::{Factors, Now, Update};
use state::StateFile;
use std::path::Path;

const STEP: &str = "step";

/// A rule with what it keeps of every parameter.
#[derive(Debug)]
pub struct Optimizer {
    rule: Rule,
    states: Vec<Vec<Var>>,
    steps: usize,
}

impl Optimizer {
    /// The state before the first step.
    ///
    /// # Errors
    /// When a setting of the rule is out of range, or memory runs out.
    pub fn new(rule: Rule, parameters: &Parameters) -> Result<Self> {
        rule.check()?;
        let zeros = |p: &Parameter| -> Result<Vec<Var>> {
            let slots = rule.slots(p.var.dims()).into_iter();
            let zeros = slots.map(|slot| Var::zeros(slot.dims, slot.dtype, p.var.device()));
            Ok(zeros.collect::<candle_core::Result<_>>()?)
        };
        let states = parameters.as_slice().iter().map(zeros);
        Ok(Self {
            states: states.collect::<Result<_>>()?,
            rule,
            steps: 0,
        })
    }

    /// Number of steps taken.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Size of what is kept of all parameters, in bytes.
    #[must_use]
    pub fn state_bytes(&self) -> usize {
        let all = self.states.iter().flatten();
        all.map(|var| var.elem_count() * var.dtype().size_in_bytes())
            .sum()
    }

    /// One update with gradients multiplied by `gradient_scale`.
    ///
    /// # Errors
    /// When a gradient is not of its parameter's shape.
    pub fn step(
        &mut self,
        parameters: &Parameters,
        gradients: &Gradients,
        learning_rate: f64,
        gradient_scale: f64,
    ) -> Result<()> {
        self.steps += 1;
        let now = Now {
            step: self.steps,
            learning_rate,
            decay: 1.0,
            gradient_scale,
        };
        let mut updates = updates(parameters, gradients, &self.states);
        for updates in updates.chunk_by_mut(|a, b| a.0 == b.0) {
            let now = now.with(updates[0].0);
            let updates: Vec<Update<'_>> = updates.iter().map(|(_, update)| *update).collect();
            self.rule.step(&now, &updates)?;
        }
        Ok(())
    }

    /// Writes the state as safetensors: `<parameter>.<what is kept>` and `step`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path, parameters: &Parameters) -> Result<()> {
        let steps = Tensor::new(self.steps as i64, &Device::Cpu)?;
        let named = self.named(parameters);
        let state = named.map(|(name, var)| (name, var.as_detached_tensor()));
        let tensors: Vec<_> = std::iter::once((STEP.to_string(), steps))
            .chain(state)
            .collect();
        Ok(files::write_tensors(path, tensors)?)
    }

    /// Reads a state that [`Self::save`] wrote for the same rule and parameters of the same names and shapes.
    ///
    /// # Errors
    /// When the file is missing or damaged, a tensor is missing or misshaped, or a value is none that an
    /// optimizer comes to: NaN, infinite, a negative mean of squares or number of steps.
    pub fn load(rule: Rule, path: &Path, parameters: &Parameters, device: &Device) -> Result<Self> {
        rule.check()?;
        let file = StateFile::open(path, rule.name())?;
        let read = |p: &Parameter| -> Result<Vec<Var>> {
            let slots = rule.slots(p.var.dims()).into_iter();
            slots
                .map(|slot| file.values(&format!("{}.{}", p.name, slot.name), &slot, device))
                .collect()
        };
        let states = parameters.as_slice().iter().map(read);
        Ok(Self {
            states: states.collect::<Result<_>>()?,
            steps: file.steps()?,
            rule,
        })
    }

    /// State that belongs to the adapter of `resume`; that before the first step where it has none.
    ///
    /// # Errors
    /// As [`Self::load`], and when it has taken another number of steps than the checkpoint.
    pub fn resumed(
        rule: Rule,
        resume: &Resume,
        parameters: &Parameters,
        device: &Device,
    ) -> Result<Self> {
        let Some(path) = &resume.optimizer else {
            return Self::new(rule, parameters);
        };
        let state = Self::load(rule, path, parameters, device)?;
        match state.steps == resume.step {
            true => Ok(state),
            false => Err(Error::Checkpoint {
                folder: resume.adapter.clone(),
                reason: format!(
                    "checkpoint.json gives step {}, optimizer.safetensors {}",
                    resume.step, state.steps
                ),
            }),
        }
    }

    /// First tensor of the state that holds a number that is not finite.
    ///
    /// # Errors
    /// When memory runs out.
    pub(super) fn not_finite(&self, parameters: &Parameters) -> Result<Option<String>> {
        for (name, var) in self.named(parameters) {
            if var.dtype() == DType::F32 && !is_finite(&var)? {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Tensors of the state with their names in a file.
    fn named(&self, parameters: &Parameters) -> impl Iterator<Item = (String, Var)> {
        let of = |(p, state): (&Parameter, &Vec<Var>)| {
            let slots = self.rule.slots(p.var.dims());
            let named = slots.iter().zip(state);
            let named = named.map(|(slot, var)| (format!("{}.{}", p.name, slot.name), var.clone()));
            named.collect::<Vec<_>>()
        };
        let all = parameters.as_slice().iter().zip(&self.states);
        all.flat_map(of).collect::<Vec<_>>().into_iter()
    }
}

/// Parameters that have a gradient with their factors, those of equal ones behind each other.
fn updates<'a>(
    parameters: &'a Parameters,
    gradients: &'a Gradients,
    states: &'a [Vec<Var>],
) -> Vec<(Factors, Update<'a>)> {
    let parts = parameters.as_slice().iter().zip(gradients.as_slice());
    let updates = parts
        .zip(states)
        .filter_map(|((parameter, gradient), state)| {
            let update = Update {
                parameter: &parameter.var,
                gradient: gradient.as_ref()?,
                state,
            };
            let factors = Factors {
                rate: parameter.rate,
                decay: parameter.decay,
            };
            Some((factors, update))
        });
    let mut updates: Vec<_> = updates.collect();
    updates.sort_by(|(a, _), (b, _)| {
        let by_rate = a.rate.total_cmp(&b.rate);
        by_rate.then(a.decay.total_cmp(&b.decay))
    });
    updates
}

/// Whether every value is a finite number.
///
/// # Errors
/// When memory runs out.
pub(super) fn is_finite(tensor: &Tensor) -> Result<bool> {
    // Zero times a finite number is zero, times any other NaN.
    let zeros = tensor.detach().affine(0.0, 0.0)?.sum_all()?;
    Ok(zeros.to_scalar::<f32>()? == 0.0)
}
