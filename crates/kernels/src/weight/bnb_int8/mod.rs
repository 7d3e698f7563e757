//! Rows of signed numbers of 8 bits with their largest magnitude, as bitsandbytes stores them
//! (`Linear8bitLt`, LLM.int8(), arXiv:2208.07339): `w = q * SCB / 127`.
//!
//! `bytes` is `(N, K)` u8, the bits of signed numbers; `scb` is `(N)` float32. These are the numbers of
//! bitsandbytes' `int8_vectorwise_dequant`; its products round activations to 8 bits too, which is
//! not done here.

mod cpu;
mod metal;
mod reference;
#[cfg(test)]
mod tests;

use super::{Blocks, Msl, Packed, check, msl};
use crate::Result;
use candle_core::{DType, Device, Result as CandleResult, Tensor};

/// The name in errors.
const NAME: &str = "bnb_int8";

/// Factor by which bitsandbytes divides by 127.
const PER_STEP: f32 = 1.0 / 127.0;

/// A matrix `(N, K)` of signed numbers of 8 bits.
#[derive(Clone, Debug)]
pub struct BnbInt8 {
    bytes: Tensor,
    scb: Tensor,
}

impl BnbInt8 {
    /// Takes the tensors of a file.
    ///
    /// # Errors
    /// When a shape or dtype does not fit, or the tensors are on a device without kernels.
    pub fn new([bytes, scb]: [Tensor; 2]) -> Result<Self> {
        let (n, _) = bytes.dims2()?;
        check::dtype(NAME, "weight", &bytes, &[DType::U8])?;
        check::numbers(NAME, "SCB", n, &scb, DType::F32)?;
        let packed = Self {
            bytes: msl::in_words(&bytes)?,
            scb: scb.contiguous()?,
        };
        check::computable(NAME, packed)
    }
}

impl Packed for BnbInt8 {
    fn kind(&self) -> String {
        "int8 by rows".into()
    }

    fn dims(&self) -> (usize, usize) {
        let dims = self.bytes.dims();
        (dims[0], dims[1])
    }

    fn device(&self) -> &Device {
        self.bytes.device()
    }

    fn tensors(&self) -> Vec<(&'static str, &Tensor)> {
        vec![("weight", &self.bytes), ("SCB", &self.scb)]
    }

    fn dense(&self) -> Result<Tensor> {
        reference::dense(self)
    }

    fn on_host(&self) -> CandleResult<Box<dyn Blocks + '_>> {
        Ok(Box::new(cpu::OnHost::new(self)?))
    }

    fn msl(&self) -> Option<Msl<'_>> {
        Some(metal::msl(self))
    }
}
