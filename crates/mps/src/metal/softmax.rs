//! Softmax by MPS, where it is faster than our own kernel.

use candle_core::backend::BackendStorage;
use candle_core::{Layout, MetalStorage, Result};

use super::{Operand, policy};
use crate::apple::{self, measurements};
use crate::plan::{MatrixSoftMax, Slot};
use crate::tensor::{self, Backend};

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
pub(super) fn by_mps((storage, layout): Operand<'_>) -> tensor::Result<Option<MetalStorage>> {
    let shape = layout.shape();
    let result = storage.allocate(shape.elem_count(), 0, storage.dtype())?;
    let view = result.view(&Layout::contiguous(shape))?;
    let Ok(plan) = MatrixSoftMax::plan(&storage.view(layout)?, &view) else {
        return Ok(None);
    };
    let buffers = [
        (Slot::Source, storage.buffer()),
        (Slot::Result, result.buffer()),
    ];
    let device = storage.device();
    apple::encode_softmax(device, &plan, &buffers, &measurements::order(device))?;
    Ok(Some(result))
}
