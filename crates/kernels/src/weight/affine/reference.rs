//! The definition: every number by itself.

use super::{Affine, Packed};
use crate::Result;
use candle_core::{DType, Device, Tensor};

/// The matrix in float32, on its device.
pub(super) fn dense(packed: &Affine) -> Result<Tensor> {
    let (n, k) = packed.dims();
    let host = |t: &Tensor| t.to_device(&Device::Cpu);
    let floats = |t: &Tensor| host(t)?.to_dtype(DType::F32)?.to_vec2::<f32>();
    let words = host(&packed.words)?.to_vec2::<u32>()?;
    let (scales, biases) = (floats(&packed.scales)?, floats(&packed.biases)?);
    let number = |row: usize, column: usize| {
        let group = column / packed.group;
        let q = number(&words[row], column, packed.bits);
        scales[row][group] * q as f32 + biases[row][group]
    };
    let numbers = (0..n).flat_map(|row| (0..k).map(move |column| number(row, column)));
    let dense = Tensor::from_vec(numbers.collect::<Vec<f32>>(), (n, k), &Device::Cpu)?;
    Ok(dense.to_device(packed.device())?)
}

/// Number `index` of a stream of bits.
pub(super) fn number(words: &[u32], index: usize, bits: usize) -> u32 {
    let bit = |i: usize| words[i / 32] >> (i % 32) & 1;
    (0..bits).map(|i| bit(index * bits + i) << i).sum()
}
