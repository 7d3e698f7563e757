//! Blocks of numbers as GGUF files store them (`gguf.quants`, ggml's `block_*`): a few bits a number, and factors
//! for the numbers of a block.
//!
//! A row of `K` numbers is `K / numbers` blocks, one behind the other; a matrix `(N, K)` is a tensor
//! `(N, K / numbers * bytes)` of u8. A type of block is one file of `blocks`.

mod block_type;
mod blocks;
mod cpu;
mod metal;
mod nearer;
mod quantize;
mod reference;
#[cfg(test)]
mod tests;

pub use block_type::BlockType;
#[cfg(any(test, feature = "testkit"))]
pub(super) use blocks::IQ4_NL;

use super::{Blocks, Msl, Packed, check, msl};
use crate::{Error, Result};
use candle_core::{DType, Device, Result as CandleResult, Tensor};

/// A matrix `(N, K)` in blocks of one type.
#[derive(Clone, Debug)]
pub struct Gguf {
    /// `(N, bytes of a row)` of u8.
    bytes: Tensor,
    block: BlockType,
}

impl Gguf {
    /// Takes the bytes of a file, `(N, K / numbers * bytes)` of u8.
    ///
    /// # Errors
    /// When the shape or dtype does not fit, or the bytes are on a device without kernels.
    pub fn new(bytes: Tensor, block: BlockType) -> Result<Self> {
        let (_, width) = bytes.dims2()?;
        if !width.is_multiple_of(block.bytes()) {
            let expected = format!("(N, multiple of {})", block.bytes());
            return Err(Error::shape("gguf", "bytes", expected, &bytes));
        }
        check::dtype("gguf", "bytes", &bytes, &[DType::U8])?;
        let bytes = msl::in_words(&bytes)?;
        check::computable("gguf", Self { bytes, block })
    }

    /// Packs a matrix `(N, K)` of floats: blocks of 32 as `gguf.quants.quantize` does, blocks of 256 as candle does.
    ///
    /// # Errors
    /// When there is no quantizer for the type, `K` is no multiple of a block, or a number is not finite.
    pub fn quantize(dense: &Tensor, block: BlockType) -> Result<Self> {
        Self::new(quantize::bytes(dense, block)?, block)
    }

    /// Type of the blocks.
    #[must_use]
    pub fn block(&self) -> BlockType {
        self.block
    }

    /// The blocks, `(N, bytes of a row)` of u8.
    #[must_use]
    pub fn as_bytes(&self) -> &Tensor {
        &self.bytes
    }
}

impl Packed for Gguf {
    fn kind(&self) -> String {
        self.block.name().into()
    }

    fn dims(&self) -> (usize, usize) {
        let dims = self.bytes.dims();
        (dims[0], dims[1] / self.block.bytes() * self.block.numbers())
    }

    fn device(&self) -> &Device {
        self.bytes.device()
    }

    fn tensors(&self) -> Vec<(&'static str, &Tensor)> {
        vec![("weight", &self.bytes)]
    }

    fn dense(&self) -> Result<Tensor> {
        reference::dense(self)
    }

    fn pack(&self, dense: &Tensor) -> Result<Option<super::Weight>> {
        match quantize::has_quantizer(self.block) {
            true => Ok(Some(nearer::pack(self, dense)?.into())),
            false => Ok(None),
        }
    }

    fn as_gguf(&self) -> Option<&Gguf> {
        Some(self)
    }

    fn on_host(&self) -> CandleResult<Box<dyn Blocks + '_>> {
        Ok(Box::new(cpu::OnHost::new(self)?))
    }

    fn msl(&self) -> Option<Msl<'_>> {
        Some(metal::msl(self))
    }
}
