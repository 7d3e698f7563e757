use super::{Error, Gradients, Options, Parameters, Result, Resume};
use crate::files;
use candle_core::{DType, Device, Tensor, Var};
use metal_candle_kernels::AdamW;
use metal_candle_kernels::adamw::{self, Moments, Update};
use std::collections::HashMap;
use std::path::Path;

const STEP: &str = "step";
const FIRST: &str = "first";
const SECOND: &str = "second";

/// More steps than any run takes, and few enough to count on.
const MOST_STEPS: usize = 1 << 48;

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
                format!("{}.{FIRST}", parameter.name),
                moments.first.as_detached_tensor(),
            ));
            tensors.push((
                format!("{}.{SECOND}", parameter.name),
                moments.second.as_detached_tensor(),
            ));
        }
        Ok(files::write_tensors(path, tensors)?)
    }

    /// Reads a state that [`Self::save`] wrote for parameters of the same names and shapes.
    ///
    /// # Errors
    /// When the file is missing or damaged, a tensor is missing or misshaped, or a value is none that an
    /// optimizer comes to: NaN, infinite, a negative second moment or number of steps.
    pub fn load(path: &Path, parameters: &Parameters, device: &Device) -> Result<Self> {
        let file = StateFile::open(path)?;
        let moments = parameters.as_slice().iter().map(|p| {
            let dims = p.var.dims();
            Ok(Moments {
                first: file.moment(&format!("{}.{FIRST}", p.name), dims, f32::MIN, device)?,
                second: file.moment(&format!("{}.{SECOND}", p.name), dims, 0.0, device)?,
            })
        });
        Ok(Self {
            moments: moments.collect::<Result<_>>()?,
            steps: file.steps()?,
        })
    }

    /// State that belongs to the adapter of `resume`; that before the first step where it has none.
    ///
    /// # Errors
    /// As [`Self::load`], and when it has taken another number of steps than the checkpoint.
    pub fn resumed(resume: &Resume, parameters: &Parameters, device: &Device) -> Result<Self> {
        let Some(path) = &resume.optimizer else {
            return Self::new(parameters);
        };
        let state = Self::load(path, parameters, device)?;
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

    /// First moment that is not a finite number.
    ///
    /// # Errors
    /// When memory runs out.
    pub(super) fn not_finite(&self, parameters: &Parameters) -> Result<Option<String>> {
        for (parameter, moments) in parameters.as_slice().iter().zip(&self.moments) {
            for (name, moment) in [(FIRST, &moments.first), (SECOND, &moments.second)] {
                if !is_finite(moment)? {
                    return Ok(Some(format!("{name} moment of {}", parameter.name)));
                }
            }
        }
        Ok(None)
    }
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

/// Tensors of a saved state, on the host.
struct StateFile<'a> {
    path: &'a Path,
    tensors: HashMap<String, Tensor>,
}

impl<'a> StateFile<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        let bytes = files::read_bytes(path)?;
        let read = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu);
        let tensors = read.map_err(|error| Error::OptimizerState {
            path: path.to_path_buf(),
            reason: error.to_string(),
        })?;
        Ok(Self { path, tensors })
    }

    fn error(&self, reason: String) -> Error {
        Error::OptimizerState {
            path: self.path.to_path_buf(),
            reason,
        }
    }

    fn get(&self, name: &str) -> Result<&Tensor> {
        let found = self.tensors.get(name);
        found.ok_or_else(|| self.error(format!("missing {name}")))
    }

    /// Moment of this name and shape, of finite numbers from `least` on.
    fn moment(&self, name: &str, dims: &[usize], least: f32, device: &Device) -> Result<Var> {
        let moment = self.get(name)?;
        if moment.dims() != dims {
            let got = moment.dims();
            return Err(self.error(format!("{name}: expected {dims:?}, got {got:?}")));
        }
        if moment.dtype() != DType::F32 {
            let got = moment.dtype();
            return Err(self.error(format!("{name}: expected F32, got {got:?}")));
        }
        let values = moment.flatten_all()?.to_vec1::<f32>()?;
        if let Some(value) = values.iter().find(|v| !v.is_finite() || **v < least) {
            return Err(self.error(format!("{name} holds {value}, which no optimizer comes to")));
        }
        Ok(Var::from_tensor(&moment.to_device(device)?)?)
    }

    fn steps(&self) -> Result<usize> {
        let steps = self.get(STEP)?;
        let value = match steps.dtype() == DType::I64 && steps.elem_count() == 1 {
            true => steps.flatten_all()?.to_vec1::<i64>()?[0],
            false => return Err(self.error(format!("{STEP}: expected one I64"))),
        };
        let known = usize::try_from(value)
            .ok()
            .filter(|steps| *steps <= MOST_STEPS);
        known.ok_or_else(|| self.error(format!("{STEP}: expected 0 to {MOST_STEPS}, got {value}")))
    }
}
