mod parts;

pub(super) use parts::TensorShape;

use super::checkpoint::{Agreement, Checkpoint};
use super::config::{OnLoad, Quantization};
use super::json::shown_name;
use super::problems::Problems;
use super::{Error, Result};
use crate::random::normal;
use candle_core::{DType, Device, Shape, Tensor};
use metal_candle_kernels::weight::gguf::BlockType;
use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Dtypes of what is not packed.
pub(super) const FLOATS: [Dtype; 3] = [Dtype::F32, Dtype::F16, Dtype::BF16];

/// Values that a tensor starts with when a model is made from nothing.
#[derive(Clone, Copy, Debug)]
pub(super) enum Init {
    /// Normal with the configuration's `initializer_range`.
    Normal,
    /// Ones: the weights of norms.
    Ones,
    /// Zeros: biases.
    Zeros,
}

/// Source of a model's tensors; takes account of every one.
pub(super) struct Weights<'a> {
    source: Source<'a>,
    quantization: Option<&'a Quantization>,
    /// Packing of dense matrices.
    on_load: Option<OnLoad>,
    device: Device,
    taken: RefCell<BTreeSet<String>>,
    problems: RefCell<Problems>,
}

enum Source<'a> {
    /// Names, shapes and dtypes, which are compared before anything of a configuration's size is
    /// allocated.
    Headers(&'a Checkpoint),
    /// Values, of headers that agree with the configuration.
    Values(&'a Checkpoint),
    Random {
        seed: u64,
        std: f64,
    },
}

impl<'a> Weights<'a> {
    pub(super) fn headers(
        checkpoint: &'a Checkpoint,
        quantization: Option<&'a Quantization>,
    ) -> Self {
        Self::new(
            Source::Headers(checkpoint),
            quantization,
            None,
            &Device::Cpu,
        )
    }

    pub(super) fn values(
        checkpoint: &'a Checkpoint,
        quantization: Option<&'a Quantization>,
        on_load: Option<OnLoad>,
        device: &Device,
    ) -> Self {
        Self::new(Source::Values(checkpoint), quantization, on_load, device)
    }

    /// Dense ones, whatever the configuration says.
    pub(super) fn random(seed: u64, std: f64, device: &Device) -> Self {
        Self::new(Source::Random { seed, std }, None, None, device)
    }

    fn new(
        source: Source<'a>,
        quantization: Option<&'a Quantization>,
        on_load: Option<OnLoad>,
        device: &Device,
    ) -> Self {
        Self {
            source,
            quantization,
            on_load,
            device: device.clone(),
            taken: RefCell::default(),
            problems: RefCell::default(),
        }
    }

    /// The tensor `name`. One that is missing or wrong is noted for [`Self::finish`], and an empty
    /// one stands in for it, so that all problems of a checkpoint are told at once.
    pub(super) fn get(&self, name: &str, shape: impl Into<Shape>, init: Init) -> Result<Tensor> {
        self.tensor(name, shape.into(), init, &FLOATS)
    }

    /// Packing of the checkpoint's matrices.
    pub(super) fn quantization(&self) -> Option<&'a Quantization> {
        self.quantization
    }

    /// Packing of dense matrices.
    pub(super) fn on_load(&self) -> Option<OnLoad> {
        self.on_load
    }

    /// Type of the blocks that a matrix of a GGUF file consists of, where it does.
    pub(super) fn block(&self, name: &str) -> Option<BlockType> {
        match self.source {
            Source::Headers(checkpoint) | Source::Values(checkpoint) => checkpoint.block(name),
            Source::Random { .. } => None,
        }
    }

    /// Whether they are those of a GGUF file.
    pub(super) fn is_gguf(&self) -> bool {
        match self.source {
            Source::Headers(checkpoint) | Source::Values(checkpoint) => checkpoint.is_gguf(),
            Source::Random { .. } => false,
        }
    }

    fn tensor(&self, name: &str, shape: Shape, init: Init, dtypes: &[Dtype]) -> Result<Tensor> {
        match self.source {
            Source::Headers(checkpoint) => {
                self.taken.borrow_mut().insert(name.to_string());
                self.problems
                    .borrow_mut()
                    .extend(problem(checkpoint, name, &shape, dtypes));
                self.stand_in()
            }
            Source::Values(checkpoint) => match checkpoint.tensor(name, &self.device)? {
                Some(tensor) => Ok(tensor),
                None => {
                    self.problem(format!("{name}: holds NaN or infinite values"));
                    self.stand_in()
                }
            },
            Source::Random { seed, std } => self.make(seed, std, name, &shape, init),
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

    /// Whether there is such a tensor; not in a model that is made from nothing.
    pub(super) fn has(&self, name: &str) -> bool {
        self.info(name).is_some()
    }

    /// Dtype of a tensor.
    pub(super) fn dtype(&self, name: &str) -> Option<Dtype> {
        self.info(name).map(|info| info.dtype)
    }

    /// Shape of a tensor.
    pub(super) fn shape(&self, name: &str) -> Option<&'a [usize]> {
        self.info(name).map(|info| &info.shape[..])
    }

    fn info(&self, name: &str) -> Option<&'a TensorInfo> {
        match self.source {
            Source::Headers(checkpoint) | Source::Values(checkpoint) => checkpoint.info(name),
            Source::Random { .. } => None,
        }
    }

    /// Names of all tensors of the checkpoint.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        let checkpoint = match self.source {
            Source::Headers(checkpoint) | Source::Values(checkpoint) => Some(checkpoint),
            Source::Random { .. } => None,
        };
        checkpoint.into_iter().flat_map(Checkpoint::names)
    }

    /// Takes account of a tensor that changes nothing, where there is one.
    pub(super) fn ignore(&self, name: &str) {
        self.taken.borrow_mut().insert(name.to_string());
    }

    /// Empty, whatever the configuration asks for.
    pub(super) fn stand_in(&self) -> Result<Tensor> {
        Tensor::zeros(0, DType::F32, &Device::Cpu).map_err(Error::from)
    }

    /// Takes account of `copy`, which the checkpoint may have although it is `original`. Where it
    /// is not, that is noted; where another dtype rounded it, that is told.
    pub(super) fn same(&self, copy: &str, original: &str, shape: impl Into<Shape>) -> Result<()> {
        match self.source {
            Source::Headers(_) if self.has(copy) => {
                self.get(copy, shape, Init::Zeros)?;
            }
            Source::Values(checkpoint) if self.has(copy) => {
                match checkpoint.agreement(copy, original)? {
                    Agreement::Same => {}
                    Agreement::Rounded => tracing::warn!(
                        "{copy} is {original} in another dtype; {original} is used for both"
                    ),
                    Agreement::Different => self.problem(format!(
                        "{copy} differs from {original}, but tie_word_embeddings is true"
                    )),
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Notes a problem.
    pub(super) fn problem(&self, problem: String) {
        self.problems.borrow_mut().push(problem);
    }

    /// Reports the problems that are noted already.
    pub(super) fn fail(self) -> Result<()> {
        match self.source {
            Source::Headers(checkpoint) | Source::Values(checkpoint) => {
                checkpoint.fail_with(self.problems.into_inner())
            }
            Source::Random { .. } => Ok(()),
        }
    }

    /// Reports every problem, and every tensor that the model did not ask for.
    pub(super) fn finish(self) -> Result<()> {
        let mut problems = self.problems.into_inner();
        match self.source {
            Source::Random { .. } => Ok(()),
            Source::Values(checkpoint) => {
                checkpoint.check_unchanged()?;
                checkpoint.fail_with(problems)
            }
            Source::Headers(checkpoint) => {
                let taken = self.taken.into_inner();
                let extra = checkpoint
                    .names()
                    .filter(|name| !taken.contains(*name) && !is_derived(name));
                problems.extend(extra.map(|name| format!("unexpected {}", shown_name(name))));
                checkpoint.fail_with(problems)
            }
        }
    }
}

/// What is wrong with the tensor `name`, as far as its header shows.
fn problem(checkpoint: &Checkpoint, name: &str, shape: &Shape, dtypes: &[Dtype]) -> Option<String> {
    let Some(info) = checkpoint.info(name) else {
        return Some(format!("missing {name} {:?}", shape.dims()));
    };
    if info.shape != shape.dims() {
        let expected = shape.dims();
        let got = shown_shape(&info.shape);
        return Some(format!("{name}: expected {expected:?}, got {got}"));
    }
    if dtypes.contains(&info.dtype) {
        return None;
    }
    let expected = match dtypes {
        [one] => format!("{one:?}"),
        _ => "F32, F16 or BF16".into(),
    };
    Some(format!(
        "{name}: dtype {:?}, expected {expected}",
        info.dtype
    ))
}

/// A shape from a file, which may have any number of dimensions.
fn shown_shape(shape: &[usize]) -> String {
    match shape.len() {
        0..=8 => format!("{shape:?}"),
        n => format!("{n} dimensions"),
    }
}

fn is_stand_in(tensor: &Tensor) -> bool {
    tensor.elem_count() == 0
}

/// Tables that old checkpoints store although they follow from the configuration.
fn is_derived(name: &str) -> bool {
    name.ends_with(".rotary_emb.inv_freq")
}
