//! Packing of the weights of test cases.

mod nearest;

use super::Weight;
use super::affine::Affine;
use super::bnb_4bit::{self, Bnb4bit};
use super::gguf::{BlockType, Gguf};
use super::microscaling::Kind;
use crate::Result;
use crate::testkit::Array;
use candle_core::{DType, Device, Tensor};
use std::fmt;

/// The packing of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// MLX's, as its quantizer packs.
    Affine {
        /// Bits of a number.
        bits: usize,
        /// Numbers that share a scale and a bias.
        group: usize,
        /// Dtype of scales and biases.
        factors: DType,
    },
    /// bitsandbytes', as its quantizer packs.
    Nf4,
    /// bitsandbytes' 8 bits.
    Int8,
    /// Small floats in groups.
    Microscaled(Kind),
    /// e4m3.
    Fp8 {
        /// Rows and columns that share a scale.
        block: (usize, usize),
    },
    /// Four bits with zero points in groups of 32 columns, which lie side by side nowhere.
    ZeroPoint,
    /// Blocks of GGUF.
    Gguf(BlockType),
}

impl Packing {
    /// Every format.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let affine = Self::Affine {
            bits: 4,
            group: 32,
            factors: DType::BF16,
        };
        let block = (16, 20);
        let mut all = vec![affine, Self::Nf4, Self::Int8, Self::Fp8 { block }];
        all.push(Self::ZeroPoint);
        all.extend(Kind::ALL.map(Self::Microscaled));
        all.extend(BlockType::all().map(Self::Gguf));
        all
    }

    /// Numbers of which rows may be multiples: of blocks, where blocks may not go on in the next row.
    #[must_use]
    pub fn row(self) -> usize {
        match self {
            Self::Affine { group, .. } => group,
            Self::Nf4 | Self::Int8 | Self::Fp8 { .. } => 1,
            Self::Microscaled(kind) => kind.group(),
            Self::ZeroPoint => 2 * nearest::GROUP,
            Self::Gguf(block) => block.numbers(),
        }
    }

    /// Bytes of so many numbers.
    #[must_use]
    pub fn bytes(self, numbers: usize) -> usize {
        match self {
            Self::Affine {
                bits,
                group,
                factors,
            } => numbers * bits / 8 + numbers / group * 2 * factors.size_in_bytes(),
            Self::Nf4 => numbers.div_ceil(2) + numbers.div_ceil(bnb_4bit::BLOCK) * 4,
            Self::Microscaled(kind) => numbers * kind.bits() / 8 + numbers / kind.group(),
            Self::Int8 | Self::Fp8 { .. } => numbers,
            // A scale and a zero point, each a float.
            Self::ZeroPoint => numbers / 2 + numbers / nearest::GROUP * 8,
            Self::Gguf(block) => numbers / block.numbers() * block.bytes(),
        }
    }

    /// Whether a device has kernels for it.
    #[must_use]
    pub fn has_kernels(self, device: &Device) -> bool {
        let has_msl = |weight| match weight {
            Weight::Packed(packed) => packed.msl().is_some(),
            Weight::Dense(_) => false,
        };
        let packed = Tensor::ones((1, self.row()), DType::F32, &Device::Cpu);
        let has_msl = || packed.is_ok_and(|ones| self.pack(&ones).is_ok_and(has_msl));
        device.is_cpu() || device.is_metal() && has_msl()
    }

    /// Packs a matrix of float32 numbers, rounded to the dtype of the factors first where they have one of their own.
    fn pack(self, matrix: &Tensor) -> Result<Weight> {
        Ok(match self {
            Self::Affine {
                bits,
                group,
                factors,
            } => Affine::quantize(&matrix.to_dtype(factors)?, bits, group)?.into(),
            Self::Nf4 => Bnb4bit::quantize(matrix)?.into(),
            Self::Int8 => nearest::int8(matrix)?.into(),
            Self::Microscaled(kind) => nearest::microscaled(matrix, kind)?.into(),
            Self::Fp8 { block } => nearest::fp8(matrix, block)?.into(),
            Self::ZeroPoint => nearest::zero_point(matrix)?.into(),
            Self::Gguf(BlockType::IQ4_NL) => nearest::iq4_nl(matrix)?.into(),
            Self::Gguf(block) => Gguf::quantize(matrix, block)?.into(),
        })
    }
}

impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Affine {
                bits,
                group,
                factors,
            } => write!(f, "{bits} bits by {group} in {}", factors.as_str()),
            Self::Nf4 => write!(f, "nf4"),
            Self::Int8 => write!(f, "int8"),
            Self::Microscaled(kind) => write!(f, "{}", kind.name()),
            Self::ZeroPoint => write!(f, "gptq by columns"),
            Self::Fp8 { block } => write!(f, "fp8 by {} x {}", block.0, block.1),
            Self::Gguf(block) => write!(f, "{}", block.name()),
        }
    }
}

/// The weight of a case: the matrix, or its packing.
///
/// # Errors
/// When it does not divide into groups.
pub fn weight_of(matrix: &Tensor, packing: Option<Packing>) -> Result<Weight> {
    match packing {
        None => Ok(matrix.clone().into()),
        Some(packing) => packing.pack(&matrix.to_dtype(DType::F32)?),
    }
}

/// The numbers that the weight of a case stands for; NaN where it cannot be packed.
pub(crate) fn dense_of(matrix: &Array, packing: Option<Packing>) -> Array {
    if packing.is_none() {
        return matrix.clone();
    }
    let dense =
        || Array::from_tensor(&weight_of(&matrix.to_tensor(DType::F32)?, packing)?.dense()?);
    dense().unwrap_or_else(|_| Array::from_fn(&matrix.dims, |_| f64::NAN))
}
