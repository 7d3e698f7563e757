//! Blocks of numbers, as `gguf.quants.quantize` makes them.

use super::BlockType;
use super::blocks::{self, Pack};
use crate::weight::check;
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

/// Blocks of a matrix `(N, K)`, `(N, bytes of a row)` of u8.
pub(super) fn bytes(dense: &Tensor, block: BlockType) -> Result<Tensor> {
    let (n, k) = dense.dims2()?;
    if !k.is_multiple_of(block.numbers()) {
        let expected = format!("(N, K) with K a multiple of {}", block.numbers());
        return Err(Error::shape("quantize", "dense", expected, dense));
    }
    let pack = quantizer(block)?;
    let values = dense.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
    let values = values.flatten_all()?.to_vec1::<f32>()?;
    check::finite("quantize", &values)?;
    let width = k / block.numbers() * block.bytes();
    let mut bytes = vec![0; n * width];
    bytes
        .par_chunks_exact_mut(block.bytes())
        .zip(values.par_chunks_exact(block.numbers()))
        .for_each(|(to, numbers)| pack(numbers, to));
    Ok(Tensor::from_vec(bytes, (n, width), dense.device())?)
}

/// Function that packs the numbers of one block into its bytes.
type Packer = fn(&[f32], &mut [u8]);

fn quantizer(block: BlockType) -> Result<Packer> {
    Ok(match block {
        BlockType::Q4_0 => blocks::Q4_0::pack,
        BlockType::Q4_1 => blocks::Q4_1::pack,
        BlockType::Q5_0 => blocks::Q5_0::pack,
        BlockType::Q5_1 => blocks::Q5_1::pack,
        BlockType::Q8_0 => blocks::Q8_0::pack,
        other => {
            return Err(Error::Value {
                op: "quantize",
                what: "type",
                expected: "Q4_0, Q4_1, Q5_0, Q5_1 or Q8_0".into(),
                got: other.name().into(),
            });
        }
    })
}
