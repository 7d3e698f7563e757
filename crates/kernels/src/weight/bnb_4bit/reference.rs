//! The definition: every number by itself.

use super::{Bnb4bit, Nested};
use crate::Result;
use candle_core::{Device, Tensor, WithDType};

/// The matrix in float32, on its device.
pub(super) fn dense(packed: &Bnb4bit) -> Result<Tensor> {
    let (n, k) = packed.dims;
    let bytes = host::<u8>(&packed.parts.bytes)?;
    let quant_map = host::<f32>(&packed.parts.quant_map)?;
    let absmax = absmax(packed)?;
    let number = |index: usize| {
        let code = match index % 2 {
            0 => bytes[index / 2] >> 4,
            _ => bytes[index / 2] & 15,
        };
        quant_map[code as usize] * absmax[index / packed.block]
    };
    let numbers = (0..n * k).map(number).collect::<Vec<f32>>();
    let dense = Tensor::from_vec(numbers, (n, k), &Device::Cpu)?;
    Ok(dense.to_device(packed.parts.bytes.device())?)
}

/// Largest magnitude of every block.
fn absmax(packed: &Bnb4bit) -> Result<Vec<f32>> {
    let absmax = &packed.parts.absmax;
    let Some(nested) = &packed.parts.nested else {
        return host(absmax);
    };
    let Nested { block, offset, .. } = *nested;
    let (of_blocks, quant_map) = (
        host::<f32>(&nested.absmax)?,
        host::<f32>(&nested.quant_map)?,
    );
    let codes = host::<u8>(absmax)?;
    let codes = codes.iter().enumerate();
    Ok(codes
        .map(|(i, code)| quant_map[*code as usize] * of_blocks[i / block] + offset)
        .collect())
}

fn host<T: WithDType>(tensor: &Tensor) -> Result<Vec<T>> {
    Ok(tensor
        .to_device(&Device::Cpu)?
        .flatten_all()?
        .to_vec1::<T>()?)
}
