//! Tensors that packed matrices consist of.

use super::{Source, Weights, is_stand_in, problem, shown_shape};
use crate::models::checkpoint::Checkpoint;
use crate::models::json::parse_object;
use crate::models::{Error, Result, weights::Init};
use candle_core::{DType, Device, Shape, Tensor};
use metal_candle_kernels::Weight;
use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use serde_json::{Map, Value};

/// Most bytes of a tensor that holds a text.
const TEXT_LIMIT_BYTES: usize = 64 << 10;

/// Shape that a tensor of bytes must have.
#[derive(Clone, Copy, Debug)]
pub(in crate::models) enum TensorShape<'a> {
    /// This one.
    Is(&'a [usize]),
    /// Any, of so many bytes.
    Bytes(usize),
}

impl Weights<'_> {
    /// [`Self::get`] of a tensor of other dtypes.
    pub(in crate::models) fn of_dtypes(
        &self,
        name: &str,
        shape: impl Into<Shape>,
        dtypes: &[Dtype],
    ) -> Result<Tensor> {
        self.tensor(name, shape.into(), Init::Zeros, dtypes)
    }

    /// The scales `part` of the matrix at `path`, which are not all zero.
    pub(in crate::models) fn scales(
        &self,
        path: &str,
        part: &str,
        shape: impl Into<Shape>,
        dtypes: &[Dtype],
    ) -> Result<Tensor> {
        let scales = self.of_dtypes(&format!("{path}.{part}"), shape, dtypes)?;
        if !is_stand_in(&scales) {
            self.check_scales(path, &scales)?;
        }
        Ok(scales)
    }

    /// The bytes of a tensor of one of `dtypes`, or of any where there are none: u8 `(bytes)`.
    pub(in crate::models) fn bytes(
        &self,
        name: &str,
        shape: TensorShape<'_>,
        dtypes: &[Dtype],
    ) -> Result<Tensor> {
        match self.source {
            Source::Headers(checkpoint) => {
                self.taken.borrow_mut().insert(name.to_string());
                let problem = problem_of_bytes(checkpoint, name, shape, dtypes);
                self.problems.borrow_mut().extend(problem);
                self.stand_in()
            }
            Source::Values(checkpoint) => checkpoint.bytes(name, &self.device),
            Source::Random { .. } => self.stand_in(),
        }
    }

    /// Takes account of a tensor where all bytes of it are zero, which a model may have or not.
    pub(in crate::models) fn ignore_zeros(&self, name: &str) -> Result<()> {
        let (Source::Headers(checkpoint) | Source::Values(checkpoint)) = self.source else {
            return Ok(());
        };
        let bytes = match self.has(name) {
            true => checkpoint.bytes(name, &Device::Cpu)?.to_vec1::<u8>()?,
            false => return Ok(()),
        };
        if bytes.iter().all(|byte| *byte == 0) {
            self.ignore(name);
        }
        Ok(())
    }

    /// The JSON object that the tensor `name` holds as text. What is wrong with it is noted.
    pub(in crate::models) fn object(&self, name: &str) -> Result<Option<Map<String, Value>>> {
        let (Source::Headers(checkpoint) | Source::Values(checkpoint)) = self.source else {
            return Ok(None);
        };
        self.taken.borrow_mut().insert(name.to_string());
        let n_bytes = checkpoint.info(name).map_or(0, n_bytes);
        if n_bytes > TEXT_LIMIT_BYTES {
            self.problem(format!(
                "{name}: a text of {n_bytes} bytes, at most {TEXT_LIMIT_BYTES} are read"
            ));
            return Ok(None);
        }
        let bytes = checkpoint.bytes(name, &Device::Cpu)?.to_vec1::<u8>()?;
        match parse_object(&bytes) {
            Ok(object) => Ok(Some(object)),
            Err(error) => {
                self.problem(format!("{name}: no JSON object: {error}"));
                Ok(None)
            }
        }
    }

    /// Weight that `pack` makes of the parts of the matrix at `path`; what it refuses is noted.
    pub(in crate::models) fn pack<const N: usize>(
        &self,
        path: &str,
        parts: [Tensor; N],
        pack: impl FnOnce([Tensor; N]) -> metal_candle_kernels::Result<Weight>,
    ) -> Result<Weight> {
        // Stand-ins have no sizes to compare; their problems are noted.
        if parts.iter().any(is_stand_in) {
            return Ok(self.stand_in()?.into());
        }
        match pack(parts) {
            Ok(weight) => Ok(weight),
            Err(metal_candle_kernels::Error::Candle(error)) => Err(error.into()),
            Err(error) => {
                self.problem(format!("{path}: {error}"));
                Ok(self.stand_in()?.into())
            }
        }
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
}

/// Problem of the tensor `name` of bytes, as far as its header shows.
fn problem_of_bytes(
    checkpoint: &Checkpoint,
    name: &str,
    shape: TensorShape<'_>,
    dtypes: &[Dtype],
) -> Option<String> {
    match shape {
        TensorShape::Is(shape) => problem(checkpoint, name, &shape.into(), dtypes),
        TensorShape::Bytes(expected) => {
            let Some(info) = checkpoint.info(name) else {
                return Some(format!("missing {name}, of {expected} bytes"));
            };
            let got = n_bytes(info);
            (got != expected).then(|| {
                let shape = shown_shape(&info.shape);
                format!(
                    "{name}: expected {expected} bytes, got {got}, {:?} {shape}",
                    info.dtype
                )
            })
        }
    }
}

/// Bytes of a tensor, which its file has.
fn n_bytes(info: &TensorInfo) -> usize {
    info.data_offsets.1 - info.data_offsets.0
}
