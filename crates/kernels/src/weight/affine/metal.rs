//! Affine weights as kernels on Apple GPUs read them.

use super::{Affine, Packed};
use crate::metal::{DeviceMatrix, DeviceTensor, Source, format_source};
use candle_core::Result;

static SOURCE: Source = format_source!("affine", "affine.metal");

/// The packed matrix as it lies.
pub(super) fn matrix(packed: &Affine) -> Result<DeviceMatrix> {
    let parts = [&packed.words, &packed.scales, &packed.biases];
    let [words, scales, biases] = parts.map(DeviceTensor::of);
    let (words, scales, biases) = (words?, scales?, biases?);
    let matrix = DeviceMatrix::new(&SOURCE, [&words, &scales, &biases], packed.dims())?;
    Ok(matrix.with(("BITS", packed.bits as u32), packed.group.ilog2()))
}
