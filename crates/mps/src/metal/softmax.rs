//! Softmax by MPS, where it is faster than our own kernel.

use candle_core::backend::BackendStorage;
use candle_core::{MetalStorage, Result};

use super::{Operand, policy};
use crate::tensor;

/// Softmax of `x` over its last dimension by `MPSMatrixSoftMax`, contiguous, where a measurement of
/// just such rows says that it is faster than our own kernel; `None` elsewhere, and for a layout that
/// MPS does not take.
///
/// # Errors
///
/// What candle, or the GPU, reports.
pub fn softmax(x: Operand<'_>) -> Result<Option<MetalStorage>> {
    let (storage, layout) = x;
    let Some((columns, lead)) = layout.dims().split_last() else {
        return Ok(None);
    };
    let policy = policy(storage.device()).map_err(tensor::Error::from)?;
    let sizes = [lead.iter().product(), *columns];
    match policy.softmax(storage.dtype(), sizes) {
        Ok(_) => Ok(by_mps(x)?),
        Err(_) => Ok(None),
    }
}

/// Softmax of `x` by MPS; `None` for a layout that MPS does not take.
fn by_mps(x: Operand<'_>) -> tensor::Result<Option<MetalStorage>> {
    match tensor::soft_max(x) {
        Ok(y) => Ok(Some(y)),
        Err(tensor::Error::Limit(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
