//! The definition: every number by itself.

use super::blocks::{Block, by_type};
use super::{Gguf, Packed};
use crate::Result;
use candle_core::{Device, Tensor};

/// The matrix in float32, on its device.
pub(super) fn dense(packed: &Gguf) -> Result<Tensor> {
    let rows = packed.bytes.to_device(&Device::Cpu)?.to_vec2::<u8>()?;
    let numbers = by_type!(packed.block, B => numbers::<B>(&rows));
    let dense = Tensor::from_vec(numbers, packed.dims(), &Device::Cpu)?;
    Ok(dense.to_device(packed.device())?)
}

fn numbers<B: Block>(rows: &[Vec<u8>]) -> Vec<f32> {
    let blocks = rows.iter().flat_map(|row| row.chunks_exact(B::BYTES));
    let numbers = blocks.flat_map(|block| (0..B::NUMBERS).map(|i| B::number(block, i)));
    numbers.collect()
}
