//! Groups of numbers of a few bits with a scale and a bias each, as MLX stores them
//! (`mlx.core.quantize`, mode `affine`): `w = scale * q + bias`.
//!
//! A row of `K` numbers is a stream of bits, the least significant first: number `k` begins at bit
//! `k * bits` of the row's u32 words. `words` is `(N, K * bits / 32)` u32; `scales` and `biases` are
//! `(N, K / group)` in any float dtype but f64.

mod cpu;
#[cfg(any(target_vendor = "apple", soft_metal))]
mod metal;
mod quantize;
mod reference;
#[cfg(test)]
mod tests;

pub(super) use quantize::check_finite;

use super::{Blocks, Packed};
use crate::{Error, Result};
use candle_core::{DType, Device, Result as CandleResult, Tensor};

/// Bits of a number that there are.
pub const BITS: [usize; 6] = [2, 3, 4, 5, 6, 8];

/// Sizes of a group that there are.
pub const GROUPS: [usize; 3] = [32, 64, 128];

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
        one_of("bits", &BITS, bits)?;
        one_of("group", &GROUPS, group)?;
        let device = words.device();
        if !(device.is_cpu() || device.is_metal()) {
            return Err(Error::Value {
                op: "affine",
                what: "device",
                expected: "the CPU or an Apple GPU: there are no kernels for others yet".into(),
                got: format!("{:?}", device.location()),
            });
        }
        let (n, n_groups) = scales.dims2()?;
        let of_words = (n, n_groups * group * bits / 32);
        expect("words", of_words, &words, &[DType::U32])?;
        expect("scales", (n, n_groups), &scales, &FLOATS)?;
        expect("biases", (n, n_groups), &biases, &FLOATS)?;
        Ok(Self {
            words: words.contiguous()?,
            scales: scales.contiguous()?,
            biases: biases.contiguous()?,
            bits,
            group,
        })
    }

    /// Packs a matrix `(N, K)` of floats; scales and biases take its dtype.
    ///
    /// # Errors
    /// When `bits` or `group` is none of those that there are, `K` is no multiple of `group`, or a
    /// number is not finite.
    pub fn quantize(dense: &Tensor, bits: usize, group: usize) -> Result<Self> {
        one_of("bits", &BITS, bits)?;
        one_of("group", &GROUPS, group)?;
        Self::new(quantize::tensors(dense, bits, group)?, bits, group)
    }

    /// Bits of a number.
    #[must_use]
    pub fn bits(&self) -> usize {
        self.bits
    }

    /// Numbers that share a scale and a bias.
    #[must_use]
    pub fn group(&self) -> usize {
        self.group
    }
}

impl Packed for Affine {
    fn dims(&self) -> (usize, usize) {
        let dims = self.scales.dims();
        (dims[0], dims[1] * self.group)
    }

    fn device(&self) -> &Device {
        self.words.device()
    }

    fn bytes(&self) -> usize {
        let bytes = |t: &Tensor| t.elem_count() * t.dtype().size_in_bytes();
        bytes(&self.words) + bytes(&self.scales) + bytes(&self.biases)
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

    fn on_host(&self) -> CandleResult<Box<dyn Blocks + '_>> {
        Ok(Box::new(cpu::OnHost::new(self)?))
    }

    #[cfg(any(target_vendor = "apple", soft_metal))]
    fn on_metal(&self) -> CandleResult<super::DeviceMatrix> {
        metal::matrix(self)
    }
}

fn one_of(what: &'static str, expected: &[usize], got: usize) -> Result<()> {
    match expected.contains(&got) {
        true => Ok(()),
        false => Err(Error::Value {
            op: "affine",
            what,
            expected: format!("one of {expected:?}"),
            got: got.to_string(),
        }),
    }
}

fn expect(
    what: &'static str,
    (n, width): (usize, usize),
    got: &Tensor,
    dtypes: &'static [DType],
) -> Result<()> {
    if got.dims() != [n, width] {
        return Err(Error::shape("affine", what, format!("({n}, {width})"), got));
    }
    match dtypes.contains(&got.dtype()) {
        true => Ok(()),
        false => Err(Error::Value {
            op: "affine",
            what: "dtype",
            expected: format!("one of {dtypes:?} for {what}"),
            got: format!("{:?}", got.dtype()),
        }),
    }
}
