use super::{Error, Gradients, Options, Parameters, Result};
use crate::files;
use candle_core::{Device, Tensor, Var};
use metal_candle_kernels::AdamW;
use metal_candle_kernels::adamw::{self, Moments, Update};
use std::path::Path;

const STEP: &str = "step";

/// Most steps that a state may have taken: to be added to those of a run, and exact as a float.
const MAX_STEPS: i64 = 1_000_000_000_000;

/// AdamW with its state.
#[derive(Debug)]
pub struct Optimizer {
    moments: Vec<Moments>,
    steps: usize,
}

impl Optimizer {
    /// The state before the first step.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn new(parameters: &Parameters) -> Result<Self> {
        let zeros = parameters
            .as_slice()
            .iter()
            .map(|p| Moments::zeros_like(&p.var.detach()));
        Ok(Self {
            moments: zeros.collect::<std::result::Result<_, _>>()?,
            steps: 0,
        })
    }

    /// Number of steps taken.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// One update with gradients multiplied by `gradient_scale`.
    ///
    /// # Errors
    /// When a gradient is not of its parameter's shape.
    pub fn step(
        &mut self,
        parameters: &Parameters,
        gradients: &Gradients,
        options: &Options,
        learning_rate: f64,
        gradient_scale: f64,
    ) -> Result<()> {
        let settings = AdamW {
            lr: learning_rate,
            beta1: options.betas.0,
            beta2: options.betas.1,
            eps: options.eps,
            weight_decay: options.weight_decay,
            gradient_scale,
        };
        let parts = parameters
            .as_slice()
            .iter()
            .zip(gradients.as_slice())
            .zip(&mut self.moments);
        let mut updates: Vec<Update<'_>> = parts
            .filter_map(|((parameter, gradient), moments)| {
                Some(Update {
                    parameter: &parameter.var,
                    gradient: gradient.as_ref()?,
                    moments,
                })
            })
            .collect();
        self.steps += 1;
        Ok(adamw::step(&settings, self.steps, &mut updates)?)
    }

    /// Writes the state as safetensors: `<parameter>.first`, `<parameter>.second` and `step`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path, parameters: &Parameters) -> Result<()> {
        let steps = Tensor::new(self.steps as i64, &Device::Cpu)?;
        let mut tensors = vec![(STEP.to_string(), steps)];
        for (parameter, moments) in parameters.as_slice().iter().zip(&self.moments) {
            tensors.push((
                format!("{}.first", parameter.name),
                moments.first.as_detached_tensor(),
            ));
            tensors.push((
                format!("{}.second", parameter.name),
                moments.second.as_detached_tensor(),
            ));
        }
        Ok(files::write_tensors(path, tensors)?)
    }

    /// Reads a state that [`Self::save`] wrote for parameters of the same names and shapes.
    ///
    /// # Errors
    /// When the file is missing or damaged, or a tensor is missing or misshaped.
    pub fn load(path: &Path, parameters: &Parameters, device: &Device) -> Result<Self> {
        let tensors = candle_core::safetensors::load(path, device)?;
        let state = |reason: String| Error::OptimizerState {
            path: path.to_path_buf(),
            reason,
        };
        let take = |name: String, like: &Tensor| match tensors.get(&name) {
            Some(tensor) if tensor.dims() == like.dims() => Ok(Var::from_tensor(tensor)?),
            Some(tensor) => Err(state(format!(
                "{name}: expected {:?}, got {:?}",
                like.dims(),
                tensor.dims()
            ))),
            None => Err(state(format!("missing {name}"))),
        };
        let moments = parameters.as_slice().iter().map(|p| {
            Ok(Moments {
                first: take(format!("{}.first", p.name), &p.var)?,
                second: take(format!("{}.second", p.name), &p.var)?,
            })
        });
        let steps = tensors
            .get(STEP)
            .ok_or_else(|| state("missing step".into()))?;
        Ok(Self {
            moments: moments.collect::<Result<_>>()?,
            steps: n_steps(steps).ok_or_else(|| {
                state(format!(
                    "step: expected a whole number from 0 to {MAX_STEPS}"
                ))
            })?,
        })
    }
}

fn n_steps(steps: &Tensor) -> Option<usize> {
    let steps = steps.to_scalar::<i64>().ok()?;
    usize::try_from(steps).ok().filter(|_| steps <= MAX_STEPS)
}
