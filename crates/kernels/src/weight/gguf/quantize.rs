//! Blocks of numbers: those of 32 as `gguf.quants.quantize` makes them, those of 256 as candle does.

use super::BlockType;
use super::blocks::{self, Pack};
use crate::weight::check;
use crate::{Error, Result};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Result as CandleResult, Tensor};
use rayon::prelude::*;

/// Rows that one thread packs at a time.
const ROWS: usize = 16;

/// Blocks of a matrix `(N, K)`, `(N, bytes of a row)` of u8.
pub(super) fn bytes(dense: &Tensor, block: BlockType) -> Result<Tensor> {
    let (n, k) = dense.dims2()?;
    if !k.is_multiple_of(block.numbers()) {
        let expected = format!("(N, K) with K a multiple of {}", block.numbers());
        return Err(Error::shape("quantize", "dense", expected, dense));
    }
    let packer = Packer::of(block)?;
    let values = dense.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
    let values = values.flatten_all()?.to_vec1::<f32>()?;
    check::finite("quantize", &values)?;
    let width = k / block.numbers() * block.bytes();
    let mut bytes = vec![0; n * width];
    let rows = bytes.par_chunks_mut((ROWS * width).max(1));
    rows.zip(values.par_chunks((ROWS * k).max(1)))
        .try_for_each(|(to, numbers)| packer.pack(block, numbers, to))?;
    Ok(Tensor::from_vec(bytes, (n, width), dense.device())?)
}

/// Whether numbers can be packed in blocks of a type.
pub(super) fn has_quantizer(block: BlockType) -> bool {
    Packer::of(block).is_ok()
}

/// Way to pack numbers.
enum Packer {
    /// A function for the numbers of one block.
    Block(fn(&[f32], &mut [u8])),
    /// candle's search for the scales inside of a block.
    Candle(GgmlDType),
}

impl Packer {
    fn of(block: BlockType) -> Result<Self> {
        Ok(match block {
            BlockType::Q4_0 => Self::Block(blocks::Q4_0::pack),
            BlockType::Q4_1 => Self::Block(blocks::Q4_1::pack),
            BlockType::Q5_0 => Self::Block(blocks::Q5_0::pack),
            BlockType::Q5_1 => Self::Block(blocks::Q5_1::pack),
            BlockType::Q8_0 => Self::Block(blocks::Q8_0::pack),
            BlockType::Q2_K => Self::Candle(GgmlDType::Q2K),
            BlockType::Q3_K => Self::Candle(GgmlDType::Q3K),
            BlockType::Q4_K => Self::Candle(GgmlDType::Q4K),
            BlockType::Q5_K => Self::Candle(GgmlDType::Q5K),
            BlockType::Q6_K => Self::Candle(GgmlDType::Q6K),
            BlockType::IQ4_NL => {
                return Err(Error::Value {
                    op: "quantize",
                    what: "type",
                    expected: "any type but IQ4_NL".into(),
                    got: block.name().into(),
                });
            }
        })
    }

    fn pack(&self, block: BlockType, numbers: &[f32], to: &mut [u8]) -> CandleResult<()> {
        match self {
            Self::Block(pack) => {
                let blocks = to.chunks_exact_mut(block.bytes());
                for (to, numbers) in blocks.zip(numbers.chunks_exact(block.numbers())) {
                    pack(numbers, to);
                }
            }
            Self::Candle(dtype) => {
                let numbers = Tensor::from_slice(numbers, numbers.len(), &Device::Cpu)?;
                to.copy_from_slice(&QTensor::quantize(&numbers, *dtype)?.data()?);
            }
        }
        Ok(())
    }
}
