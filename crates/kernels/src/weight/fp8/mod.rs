//! Floats of 8 bits, e4m3, with a float32 scale for each block of rows and columns: `w = scale * number`.
//!
//! The layout of "fine-grained FP8" checkpoints (DeepSeek-V3, arXiv:2412.19437), whose blocks are 128 x
//! 128 and whose scales are named `weight_scale_inv` although they are factors. One block may be the
//! whole matrix (a scale per tensor) or a row of it (per channel). `bytes` is `(N, K)` u8, the bits of
//! e4m3 without infinities; `scales` is `(ceil(N / rows), ceil(K / columns))` float32.

mod cpu;
mod metal;
mod reference;
#[cfg(test)]
mod tests;

use super::{Blocks, Msl, Packed, check, msl};
use crate::Result;
use candle_core::{DType, Device, Result as CandleResult, Tensor};

/// The name in errors.
const NAME: &str = "fp8";

/// A matrix `(N, K)` of e4m3 with scales.
#[derive(Clone, Debug)]
pub struct Fp8 {
    bytes: Tensor,
    scales: Tensor,
    /// Rows and columns of a block.
    block: (usize, usize),
}

impl Fp8 {
    /// Takes the tensors of a file, in blocks of so many rows and columns.
    ///
    /// # Errors
    /// When a shape or dtype does not fit, a number is NaN, or the tensors are on a device without kernels.
    pub fn new([bytes, scales]: [Tensor; 2], block: (usize, usize)) -> Result<Self> {
        let (n, k) = bytes.dims2()?;
        check::dtype(NAME, "bytes", &bytes, &[DType::U8])?;
        if block.0 == 0 || block.1 == 0 {
            let got = format!("({}, {})", block.0, block.1);
            return Err(check::value(NAME, "block", "of one number at least", got));
        }
        let blocks = (n.div_ceil(block.0), k.div_ceil(block.1));
        check::rows(NAME, "scales", blocks, &scales, &[DType::F32])?;
        let packed = Self {
            bytes: msl::in_words(&bytes)?,
            scales: scales.contiguous()?,
            block,
        };
        let host = packed.in_host_memory()?;
        let nan = cpu::OnHost::new(&host)?.first_nan();
        check::no_nan(NAME, nan.map(|byte| ("an element", byte)))?;
        check::computable(NAME, packed)
    }

    fn in_host_memory(&self) -> CandleResult<Self> {
        Ok(Self {
            bytes: self.bytes.to_device(&Device::Cpu)?,
            scales: self.scales.to_device(&Device::Cpu)?,
            block: self.block,
        })
    }
}

impl Packed for Fp8 {
    fn kind(&self) -> String {
        let ((n, k), (rows, columns)) = (self.dims(), self.block);
        match (rows >= n, columns >= k) {
            (true, true) => "fp8 (e4m3)".into(),
            (_, true) if rows == 1 => "fp8 (e4m3) by rows".into(),
            _ => format!("fp8 (e4m3), blocks of {rows} x {columns}"),
        }
    }

    fn dims(&self) -> (usize, usize) {
        let dims = self.bytes.dims();
        (dims[0], dims[1])
    }

    fn device(&self) -> &Device {
        self.bytes.device()
    }

    fn tensors(&self) -> Vec<(&'static str, &Tensor)> {
        vec![("weight", &self.bytes), ("weight_scale_inv", &self.scales)]
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
