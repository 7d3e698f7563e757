//! Operands as candle has them, and what plans need of their storages: the CPU's and Metal's.

use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::{DType, Layout};

use super::{Error, Result};
use crate::plan::{MatrixSoftMax, Plan, Reject, Slot, View};
use crate::policy::Policy;

/// A storage whose buffers plans can be run on.
pub(crate) trait Backend: BackendStorage<Device: BackendDevice<Storage = Self>> {
    /// What engines are chosen by.
    fn policy(&self) -> Result<Policy>;

    /// Bytes of the whole buffer.
    fn buffer_len_bytes(&self) -> usize;

    /// A new storage of `count` elements with at least `room` more behind them, on this one's
    /// device. What it holds is not to be read.
    fn allocate(&self, count: usize, room: usize, dtype: DType) -> Result<Self>;

    /// Runs a product of these operands; returns the storage of the result.
    fn run(plan: &Plan, operands: &[(Slot, &Self)], result: Self) -> Result<Self>;

    /// Runs a softmax of `source`; returns the storage of the result.
    fn soft_max(plan: &MatrixSoftMax, source: &Self, result: Self) -> Result<Self>;

    /// Where `layout` lies.
    fn view(&self, layout: &Layout) -> Result<View> {
        Ok(View::of(self.dtype(), layout, self.buffer_len_bytes())?)
    }
}

/// A storage as it is or copied, and where in it the elements lie.
pub(crate) enum Operand<'a, S> {
    Given(&'a S, Layout),
    Copied(S, Layout),
}

impl<S: Backend> Operand<'_, S> {
    pub fn storage(&self) -> &S {
        match self {
            Self::Given(storage, _) => storage,
            Self::Copied(storage, _) => storage,
        }
    }

    pub fn layout(&self) -> &Layout {
        match self {
            Self::Given(_, layout) | Self::Copied(_, layout) => layout,
        }
    }

    pub fn view(&self) -> Result<View> {
        self.storage().view(self.layout())
    }

    /// Replaces a given storage by a contiguous copy; a copy that was no help is an error.
    pub fn copy(&mut self, reject: Reject) -> Result<()> {
        let Self::Given(storage, layout) = self else {
            return Err(Error::Limit(reject));
        };
        let shape = layout.shape().clone();
        let mut copy = storage.allocate(shape.elem_count(), 0, storage.dtype())?;
        storage.copy_strided_src(&mut copy, 0, layout)?;
        *self = Self::Copied(copy, Layout::contiguous(shape));
        Ok(())
    }
}
