use super::checkpoint::Checkpoint;
use super::{Error, Result};
use crate::random::normal;
use candle_core::{DType, Device, Shape, Tensor};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

/// What a tensor starts as when a model is made from nothing.
#[derive(Clone, Copy, Debug)]
pub(super) enum Init {
    /// Normal with the configuration's `initializer_range`.
    Normal,
    /// Ones: the weights of norms.
    Ones,
    /// Zeros: biases.
    Zeros,
}

/// Where a model's tensors come from; takes account of every one.
pub(super) struct Weights {
    source: Source,
    device: Device,
    taken: RefCell<BTreeSet<String>>,
    problems: RefCell<Vec<String>>,
}

enum Source {
    Checkpoint(Checkpoint),
    Random { seed: u64, std: f64 },
}

impl Weights {
    pub(super) fn open(folder: &Path, device: &Device) -> Result<Self> {
        Ok(Self::new(
            Source::Checkpoint(Checkpoint::open(folder)?),
            device,
        ))
    }

    pub(super) fn random(seed: u64, std: f64, device: &Device) -> Self {
        Self::new(Source::Random { seed, std }, device)
    }

    fn new(source: Source, device: &Device) -> Self {
        Self {
            source,
            device: device.clone(),
            taken: RefCell::default(),
            problems: RefCell::default(),
        }
    }

    /// The tensor `name`. One that is missing or wrong is noted for [`Self::finish`], and zeros
    /// stand in for it, so that all problems of a checkpoint are told at once.
    pub(super) fn get(&self, name: &str, shape: impl Into<Shape>, init: Init) -> Result<Tensor> {
        let shape = shape.into();
        self.taken.borrow_mut().insert(name.to_string());
        match &self.source {
            Source::Checkpoint(checkpoint) => self.read(checkpoint, name, &shape),
            Source::Random { seed, std } => self.make(*seed, *std, name, &shape, init),
        }
    }

    fn make(&self, seed: u64, std: f64, name: &str, shape: &Shape, init: Init) -> Result<Tensor> {
        Ok(match init {
            Init::Normal => {
                let values = normal(seed, name, shape.elem_count(), std);
                Tensor::from_vec(values, shape, &self.device)?
            }
            Init::Ones => Tensor::ones(shape, DType::F32, &self.device)?,
            Init::Zeros => Tensor::zeros(shape, DType::F32, &self.device)?,
        })
    }

    fn read(&self, checkpoint: &Checkpoint, name: &str, shape: &Shape) -> Result<Tensor> {
        match self.checked(checkpoint, name, shape)? {
            Ok(tensor) => Ok(tensor),
            Err(problem) => {
                self.problems.borrow_mut().push(problem);
                Ok(Tensor::zeros(shape, DType::F32, &self.device)?)
            }
        }
    }

    fn checked(
        &self,
        checkpoint: &Checkpoint,
        name: &str,
        shape: &Shape,
    ) -> Result<std::result::Result<Tensor, String>> {
        use safetensors::Dtype;
        let Some(info) = checkpoint.info(name) else {
            return Ok(Err(format!("missing {name} {:?}", shape.dims())));
        };
        if info.shape != shape.dims() {
            let expected = shape.dims();
            return Ok(Err(format!(
                "{name}: expected {expected:?}, got {:?}",
                info.shape
            )));
        }
        if !matches!(info.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16) {
            return Ok(Err(format!(
                "{name}: dtype {:?}, expected F32, F16 or BF16",
                info.dtype
            )));
        }
        let tensor = checkpoint.tensor(name, info, &self.device)?;
        Ok(match is_finite(&tensor)? {
            true => Ok(tensor),
            false => Err(format!("{name}: holds NaN or infinite values")),
        })
    }

    /// The tensor `name` where the checkpoint holds one, without asking for it.
    pub(super) fn optional(&self, name: &str, shape: impl Into<Shape>) -> Result<Option<Tensor>> {
        match &self.source {
            Source::Checkpoint(checkpoint) if checkpoint.info(name).is_some() => {
                self.get(name, shape, Init::Zeros).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Notes a problem that the tensors' names and shapes do not show.
    pub(super) fn problem(&self, problem: String) {
        self.problems.borrow_mut().push(problem);
    }

    /// Reports every problem, and every tensor that the model did not ask for.
    pub(super) fn finish(self) -> Result<()> {
        let Source::Checkpoint(checkpoint) = &self.source else {
            return Ok(());
        };
        let taken = self.taken.into_inner();
        let mut problems = self.problems.into_inner();
        let extra = checkpoint
            .names()
            .filter(|name| !taken.contains(*name) && !is_derived(name));
        problems.extend(extra.map(|name| format!("unexpected {name}")));
        match problems.is_empty() {
            true => Ok(()),
            false => Err(Error::Tensors {
                folder: checkpoint.folder.clone(),
                problems,
            }),
        }
    }
}

/// Tables that old checkpoints store although they follow from the configuration.
fn is_derived(name: &str) -> bool {
    name.ends_with(".rotary_emb.inv_freq")
}

fn is_finite(tensor: &Tensor) -> Result<bool> {
    // Zero times a finite number is zero, times any other NaN.
    let zeros = tensor.flatten_all()?.affine(0.0, 0.0)?;
    Ok(zeros.to_dtype(DType::F32)?.sum_all()?.to_scalar::<f32>()? == 0.0)
}
