//! Needs of the operations of a storage: the CPU's and Metal's.

use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::{DType, Layout};

use super::Result;
use super::held::Prepared;
use crate::plan::{MatrixSoftMax, Plan, View};
use crate::policy::Policy;

/// Buffers of the two sides of a row operation.
pub(crate) struct Rows<'a, S> {
    pub source: &'a S,
    pub result: S,
}

/// A storage whose buffers plans can be run on.
pub(crate) trait Backend: BackendStorage<Device: BackendDevice<Storage = Self>> {
    /// What engines are chosen by.
    fn policy(&self) -> Result<Policy>;

    /// Where `layout` lies.
    fn view(&self, layout: &Layout) -> Result<View>;

    /// A new storage of `count` elements with at least `room` more behind them, on this one's
    /// device. What it holds is not to be read.
    fn allocate(&self, count: usize, room: usize, dtype: DType) -> Result<Self>;

    /// Runs a product; returns the storage of the result.
    fn run(plan: &Plan, prepared: Prepared<'_, Self>) -> Result<Self>;

    /// Runs a soft-max; returns the storage of the result.
    fn run_soft_max(plan: &MatrixSoftMax, rows: Rows<'_, Self>) -> Result<Self>;
}
