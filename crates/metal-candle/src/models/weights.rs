use super::checkpoint::{Agreement, Checkpoint};
use super::config::{Packing, Quantization};
use super::json::shown_name;
use super::problems::Problems;
use super::{Error, Result};
use crate::random::normal;
use candle_core::{DType, Device, Shape, Tensor};
use metal_candle_kernels::Weight;
use metal_candle_kernels::weight::affine::Affine;
use metal_candle_kernels::weight::gguf::{BlockType, Gguf};
use safetensors::Dtype;
use std::cell::RefCell;
use std::collections::BTreeSet;

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

/// Dtypes of what is not packed.
const FLOATS: [Dtype; 3] = [Dtype::F32, Dtype::F16, Dtype::BF16];

/// Source of a model's tensors; takes account of every one.
pub(super) struct Weights<'a> {
    source: Source<'a>,
    quantization: Option<&'a Quantization>,
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
        Self::new(Source::Headers(checkpoint), quantization, &Device::Cpu)
    }

    pub(super) fn values(
        checkpoint: &'a Checkpoint,
        quantization: Option<&'a Quantization>,
        device: &Device,
    ) -> Self {
        Self::new(Source::Values(checkpoint), quantization, device)
    }

    /// Dense ones, whatever the configuration says.
    pub(super) fn random(seed: u64, std: f64, device: &Device) -> Self {
        Self::new(Source::Random { seed, std }, None, device)
    }

    fn new(source: Source<'a>, quantization: Option<&'a Quantization>, device: &Device) -> Self {
        Self {
            source,
            quantization,
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

    /// The matrix `path`, `(N, K)`: packed where the configuration says so and there are scales.
    pub(super) fn matrix(&self, path: &str, (n, k): (usize, usize)) -> Result<Weight> {
        let name = |part: &str| format!("{path}.{part}");
        if let Some(block) = self.block(&name("weight")) {
            return self.blocks(&name("weight"), (n, k), block);
        }
        let packing = self.quantization.and_then(|settings| settings.of(path));
        let Some(Packing { bits, group }) = packing.filter(|_| self.has(&name("scales"))) else {
            return Ok(self.get(&name("weight"), (n, k), Init::Normal)?.into());
        };
        let reason = "MLX's packing is computed with on CPUs and Apple GPUs only";
        self.check_device(!self.device.is_cuda(), reason)?;
        if !k.is_multiple_of(group) {
            self.problem(format!(
                "{path}: rows of {k} do not divide into groups of {group}"
            ));
        }
        let (words, groups) = ((n, k * bits / 32).into(), (n, k / group));
        let parts = [
            self.tensor(&name("weight"), words, Init::Zeros, &[Dtype::U32])?,
            self.get(&name("scales"), groups, Init::Ones)?,
            self.get(&name("biases"), groups, Init::Zeros)?,
        ];
        // Stand-ins have no sizes to compare; their problems are noted.
        if parts.iter().any(|part| part.rank() != 2) {
            return Ok(stand_in()?.into());
        }
        self.check_scales(path, &parts[1])?;
        Ok(Affine::new(parts, bits, group)?.into())
    }

    /// The matrix `name` of a GGUF file, `(N, K)`.
    fn blocks(&self, name: &str, (n, k): (usize, usize), block: BlockType) -> Result<Weight> {
        let reason = "blocks of GGUF are computed with on a CPU only: --device cpu";
        self.check_device(self.device.is_cpu(), reason)?;
        let shape = (n, k / block.numbers() * block.bytes());
        if !k.is_multiple_of(block.numbers()) {
            let (numbers, kind) = (block.numbers(), block.name());
            self.problem(format!(
                "{name}: rows of {k} do not divide into blocks of {numbers} ({kind})"
            ));
        }
        let bytes = self.tensor(name, shape.into(), Init::Zeros, &[Dtype::U8])?;
        match bytes.rank() {
            2 => Ok(Gguf::new(bytes, block)?.into()),
            // A stand-in, whose problem is noted.
            _ => Ok(bytes.into()),
        }
    }

    /// Type of the blocks that a matrix consists of, where it does.
    fn block(&self, name: &str) -> Option<BlockType> {
        match self.source {
            Source::Headers(checkpoint) | Source::Values(checkpoint) => checkpoint.block(name),
            Source::Random { .. } => None,
        }
    }

    /// That the device has kernels for a packing.
    fn check_device(&self, has_kernels: bool, reason: &'static str) -> Result<()> {
        if has_kernels {
            return Ok(());
        }
        let device = format!("{:?}", self.device.location());
        Err(Error::unsupported("quantization", device, reason))
    }

    /// No quantizer writes a scale of zero: where all of them are, a copy has left a hole in the file.
    fn check_scales(&self, path: &str, scales: &Tensor) -> Result<()> {
        let largest = scales.to_dtype(DType::F32)?.abs()?.max_all()?;
        match self.source {
            Source::Values(checkpoint) if largest.to_scalar::<f32>()? == 0.0 => {
                Err(Error::Safetensors {
                    path: checkpoint.path.clone(),
                    reason: format!("all scales of the quantized {path} are zero"),
                })
            }
            _ => Ok(()),
        }
    }

    fn tensor(&self, name: &str, shape: Shape, init: Init, dtypes: &[Dtype]) -> Result<Tensor> {
        match self.source {
            Source::Headers(checkpoint) => {
                self.taken.borrow_mut().insert(name.to_string());
                self.problems
                    .borrow_mut()
                    .extend(problem(checkpoint, name, &shape, dtypes));
                stand_in()
            }
            Source::Values(checkpoint) => match checkpoint.tensor(name, &self.device)? {
                Some(tensor) => Ok(tensor),
                None => {
                    self.problem(format!("{name}: holds NaN or infinite values"));
                    stand_in()
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
        match self.source {
            Source::Headers(checkpoint) | Source::Values(checkpoint) => {
                checkpoint.info(name).is_some()
            }
            Source::Random { .. } => false,
        }
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

/// Empty, whatever the configuration asks for.
fn stand_in() -> Result<Tensor> {
    Tensor::zeros(0, DType::F32, &Device::Cpu).map_err(Error::from)
}

/// Tables that old checkpoints store although they follow from the configuration.
fn is_derived(name: &str) -> bool {
    name.ends_with(".rotary_emb.inv_freq")
}
