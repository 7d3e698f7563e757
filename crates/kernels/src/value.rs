//! Results before they are tensors.

use crate::host::untracked;
use candle_core::{CpuStorage, Result, Shape, Storage, Tensor};

/// A result in order, which is in no graph yet.
pub(crate) struct Value {
    pub(crate) storage: Storage,
    pub(crate) shape: Shape,
}

impl Value {
    pub(crate) fn new(storage: Storage, shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        Self { storage, shape }
    }

    pub(crate) fn cpu(storage: CpuStorage, shape: impl Into<Shape>) -> Self {
        Self::new(Storage::Cpu(storage), shape)
    }

    /// A copy of a tensor that lies in order; on Apple GPUs its memory itself.
    pub(crate) fn copied(tensor: &Tensor) -> Result<Self> {
        let (storage, layout) = tensor.storage_and_layout();
        Ok(Self::new(storage.try_clone(layout)?, tensor.shape()))
    }

    /// A tensor that is not tracked.
    pub(crate) fn into_tensor(self) -> Tensor {
        untracked(self.storage, &self.shape)
    }
}
