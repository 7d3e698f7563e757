//! Frozen matrices of any storage: dense, or packed in fewer bits than their numbers have.
//!
//! A [`Weight`] is `(N, K)`. A packed format is one folder: its layout, the reference that makes it
//! dense, and how its rows are read on each device. Products read a packed weight in blocks; it is
//! never made dense as a whole where there is a kernel.

pub mod affine;
pub mod bnb_4bit;
pub mod bnb_int8;
mod check;
mod codes;
mod few;
pub mod fp8;
pub mod gguf;
mod groups;
mod host;
#[cfg(any(target_vendor = "apple", soft_metal))]
mod metal;
pub mod microscaling;
mod msl;
#[cfg(any(test, feature = "testkit"))]
pub mod packing;
mod slabs;
#[cfg(test)]
pub(crate) mod testing;
pub mod zero_point;

pub(crate) use host::Host;
pub use metal_candle_cpu::gemm::{Blocks, FewRows};
pub use msl::Msl;

use crate::Result;
use candle_core::{DType, Device, Tensor};
use std::any::Any;
use std::sync::Arc;

/// A matrix `(N, K)`, of which only the dense one can be trained.
#[derive(Clone, Debug)]
pub enum Weight {
    /// A tensor of floats.
    Dense(Tensor),
    /// Numbers of a few bits.
    Packed(Arc<dyn Packed>),
}

/// A packed format.
pub trait Packed: Any + std::fmt::Debug + Send + Sync {
    /// The format as people call it, with its bits: `affine, 4 bits in groups of 64`.
    fn kind(&self) -> String;

    /// `(N, K)`.
    fn dims(&self) -> (usize, usize);

    /// Where it lies.
    fn device(&self) -> &Device;

    /// What it consists of, by the names that its files have.
    fn tensors(&self) -> Vec<(&'static str, &Tensor)>;

    /// Memory that it takes.
    fn bytes(&self) -> usize {
        let tensors = self.tensors().into_iter();
        tensors.map(|(_, tensor)| bytes(tensor)).sum()
    }

    /// The dtype that its numbers had before, as far as its tensors tell.
    fn dtype(&self) -> DType {
        let mut dtypes = self.tensors().into_iter().map(|(_, t)| t.dtype());
        dtypes.find(|dtype| dtype.is_float()).unwrap_or(DType::F32)
    }

    /// The whole matrix in float32, on its device.
    ///
    /// # Errors
    /// When memory runs out.
    fn dense(&self) -> Result<Tensor>;

    /// Another matrix `(N, K)` of floats, packed as this one is; `None` where its format has no quantizer.
    ///
    /// # Errors
    /// When the shape is another one, or a number is not finite.
    fn pack(&self, _dense: &Tensor) -> Result<Option<Weight>> {
        Ok(None)
    }

    /// The matrix itself, where it is blocks of GGUF.
    fn as_gguf(&self) -> Option<&gguf::Gguf> {
        None
    }

    /// Its blocks in host memory.
    ///
    /// # Errors
    /// When it lies on another device.
    fn on_host(&self) -> candle_core::Result<Box<dyn Blocks + '_>>;

    /// How kernels on Apple GPUs unpack it; `None` where they do not.
    fn msl(&self) -> Option<Msl<'_>> {
        None
    }
}

impl From<Tensor> for Weight {
    fn from(tensor: Tensor) -> Self {
        Self::Dense(tensor)
    }
}

impl<P: Packed + 'static> From<P> for Weight {
    fn from(packed: P) -> Self {
        Self::Packed(Arc::new(packed))
    }
}

impl Weight {
    /// `(N, K)`.
    ///
    /// # Errors
    /// When a dense one has not two dimensions.
    pub fn dims(&self) -> Result<(usize, usize)> {
        match self {
            Self::Dense(tensor) => Ok(tensor.dims2()?),
            Self::Packed(packed) => Ok(packed.dims()),
        }
    }

    /// Where it lies.
    #[must_use]
    pub fn device(&self) -> &Device {
        match self {
            Self::Dense(tensor) => tensor.device(),
            Self::Packed(packed) => packed.device(),
        }
    }

    /// Storage of its numbers, as people call it: `bf16`, or a packed format.
    #[must_use]
    pub fn kind(&self) -> String {
        match self {
            Self::Dense(tensor) => tensor.dtype().as_str().into(),
            Self::Packed(packed) => packed.kind(),
        }
    }

    /// The dtype of its numbers, or that they had before they were packed.
    #[must_use]
    pub fn dtype(&self) -> DType {
        match self {
            Self::Dense(tensor) => tensor.dtype(),
            Self::Packed(packed) => packed.dtype(),
        }
    }

    /// Memory that it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Dense(tensor) => bytes(tensor),
            Self::Packed(packed) => packed.bytes(),
        }
    }

    /// The tensor of a dense one.
    #[must_use]
    pub fn tensor(&self) -> Option<&Tensor> {
        match self {
            Self::Dense(tensor) => Some(tensor),
            Self::Packed(_) => None,
        }
    }

    /// The tensor of a dense one, to be replaced.
    pub fn tensor_mut(&mut self) -> Option<&mut Tensor> {
        match self {
            Self::Dense(tensor) => Some(tensor),
            Self::Packed(_) => None,
        }
    }

    /// What it consists of, by the names that files have for it.
    #[must_use]
    pub fn tensors(&self) -> Vec<(&'static str, &Tensor)> {
        match self {
            Self::Dense(tensor) => vec![("weight", tensor)],
            Self::Packed(packed) => packed.tensors(),
        }
    }

    /// The whole matrix as a tensor: as it is, or a packed one in float32.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn dense(&self) -> Result<Tensor> {
        match self {
            Self::Dense(tensor) => Ok(tensor.clone()),
            Self::Packed(packed) => packed.dense(),
        }
    }

    /// Another matrix `(N, K)` of floats, stored as this one is: in its dtype, or packed in its format; `None` where the
    /// format has no quantizer.
    ///
    /// # Errors
    /// When the shape is another one, or a number that is packed is not finite.
    pub fn stored_alike(&self, dense: &Tensor) -> Result<Option<Self>> {
        match self {
            Self::Dense(tensor) => Ok(Some(dense.to_dtype(tensor.dtype())?.into())),
            Self::Packed(packed) => packed.pack(dense),
        }
    }

    /// The matrix in the format `P`, where it is packed in this one.
    #[must_use]
    pub fn packed_as<P: Packed>(&self) -> Option<&P> {
        match self {
            Self::Dense(_) => None,
            Self::Packed(packed) => (packed.as_ref() as &dyn Any).downcast_ref(),
        }
    }

    /// Blocks of GGUF, where it is stored in these.
    #[must_use]
    pub fn as_gguf(&self) -> Option<&gguf::Gguf> {
        match self {
            Self::Dense(_) => None,
            Self::Packed(packed) => packed.as_gguf(),
        }
    }

    /// Without a gradient.
    #[must_use]
    pub fn detach(&self) -> Self {
        match self {
            Self::Dense(tensor) => Self::Dense(tensor.detach()),
            Self::Packed(packed) => Self::Packed(packed.clone()),
        }
    }

    /// Whether it has a gradient.
    #[cfg(any(target_vendor = "apple", soft_metal))]
    fn is_tracked(&self) -> bool {
        self.tensor().is_some_and(Tensor::track_op)
    }

    /// The rows `ids` (any shape) of u32, in float32: `(.., K)`.
    ///
    /// A row of a frozen matrix on an Apple GPU is NaN where its id is not below `N`.
    ///
    /// # Errors
    /// When an id is not below `N`, or memory runs out.
    pub fn gather(&self, ids: &Tensor) -> Result<Tensor> {
        let (n, k) = self.dims()?;
        let flat = ids.flatten_all()?;
        #[cfg(any(target_vendor = "apple", soft_metal))]
        if self.device().is_metal() && !self.is_tracked() {
            return Ok(metal::gather(self, &flat)?.reshape([ids.dims(), &[k]].concat())?);
        }
        let rows = match self {
            Self::Dense(tensor) => tensor.index_select(&flat, 0)?.to_dtype(DType::F32)?,
            Self::Packed(packed) => host::gather(packed.as_ref(), &flat.to_vec1::<u32>()?, (n, k))?,
        };
        Ok(rows.reshape([ids.dims(), &[k]].concat())?)
    }

    /// The matrix on an Apple GPU.
    #[cfg(any(target_vendor = "apple", soft_metal))]
    pub(crate) fn on_metal(&self) -> candle_core::Result<metal::OnMetal> {
        metal::OnMetal::new(self)
    }

    /// The matrix in host memory.
    pub(crate) fn on_host(&self) -> candle_core::Result<Host<'_>> {
        Host::new(self)
    }
}

fn bytes(tensor: &Tensor) -> usize {
    tensor.elem_count() * tensor.dtype().size_in_bytes()
}
