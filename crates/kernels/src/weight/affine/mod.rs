//! Groups of numbers of a few bits with a scale and a bias each, as MLX stores them
//! (`mlx.core.quantize`, mode `affine`): `w = scale * q + bias`.
//!
//! A row of `K` numbers is a stream of bits, the least significant first: number `k` begins at bit
//! `k * bits` of the row's u32 words. `words` is `(N, K * bits / 32)` u32; `scales` and `biases` are
//! `(N, K / group)` in any float dtype but f64.

mod cpu;
mod metal;
mod quantize;
mod reference;
#[cfg(test)]
mod tests;

use super::{Blocks, Msl, Packed, check};
use crate::Result;
use candle_core::{DType, Device, Result as CandleResult, Tensor};

/// Bits of a number that there are.
pub const BITS: [usize; 6] = [2, 3, 4, 5, 6, 8];

/// Sizes of a group that there are.
pub const GROUPS: [usize; 3] = [32, 64, 128];

/// The name in errors.
const NAME: &str = "affine";

/// Dtypes of scales and biases.
const FLOATS: [DType; 3] = [DType::F32, DType::F16, DType::BF16];

/// A matrix `(N, K)` of numbers of `bits` bits, `group` of them with one scale and one bias.
#[derive(Clone, Debug)]
pub struct Affine {
    words: Tensor,
    scales: Tensor,
    biases: Tensor,
    bits: usize,
    group: usize,
}

impl Affine {
    /// Takes the tensors of a file.
    ///
    /// # Errors
    /// When `bits` or `group` is none of those that there are, a shape or dtype does not fit, or the
    /// tensors are on a device without kernels.
    pub fn new([words, scales, biases]: [Tensor; 3], bits: usize, group: usize) -> Result<Self> {
        check_packing(bits, group)?;
        let (n, n_groups) = scales.dims2()?;
        let of_words = (n, n_groups * group * bits / 32);
        check::rows(NAME, "words", of_words, &words, &[DType::U32])?;
        check::rows(NAME, "scales", (n, n_groups), &scales, &FLOATS)?;
        check::rows(NAME, "biases", (n, n_groups), &biases, &FLOATS)?;
        let packed = Self {
            words: words.contiguous()?,
            scales: scales.contiguous()?,
            biases: biases.contiguous()?,
            bits,
            group,
        };
        check::computable(NAME, packed)
    }

    /// Packs a matrix `(N, K)` of floats; scales and biases take its dtype.
    ///
    /// # Errors
    /// When `bits` or `group` is none of those that there are, `K` is no multiple of `group`, or a
    /// number is not finite.
    pub fn quantize(dense: &Tensor, bits: usize, group: usize) -> Result<Self> {
        check_packing(bits, group)?;
        Self::new(quantize::tensors(dense, bits, group, None)?, bits, group)
    }
}

impl Packed for Affine {
    fn kind(&self) -> String {
        format!("affine, {} bits in groups of {}", self.bits, self.group)
    }

    fn dims(&self) -> (usize, usize) {
        let dims = self.scales.dims();
        (dims[0], dims[1] * self.group)
    }

    fn device(&self) -> &Device {
        self.words.device()
    }

    fn tensors(&self) -> Vec<(&'static str, &Tensor)> {
        vec![
            ("weight", &self.words),
            ("scales", &self.scales),
            ("biases", &self.biases),
        ]
    }

    fn dense(&self) -> Result<Tensor> {
        reference::dense(self)
    }

    /// A group keeps its scale and bias where they suit its new numbers better than others do: an update too small for the grid changes nothing.
    fn pack(&self, dense: &Tensor) -> Result<Option<super::Weight>> {
        let (bits, group) = (self.bits, self.group);
        check::rows(NAME, "dense", self.dims(), dense, &FLOATS)?;
        let before = quantize::Before::new(&self.scales, &self.biases)?;
        let tensors = quantize::tensors(dense, bits, group, Some(&before))?;
        Ok(Some(Self::new(tensors, bits, group)?.into()))
    }

    fn on_host(&self) -> CandleResult<Box<dyn Blocks + '_>> {
        Ok(Box::new(cpu::OnHost::new(self)?))
    }

    fn msl(&self) -> Option<Msl<'_>> {
        Some(metal::msl(self))
    }
}

fn check_packing(bits: usize, group: usize) -> Result<()> {
    check::one_of(NAME, "bits", &BITS, bits)?;
    check::one_of(NAME, "group", &GROUPS, group)
}
