//! Groups of small floats with one small float as the scale of each, as MLX stores them
//! (`mlx.core.quantize`, modes `mxfp4`, `mxfp8` and `nvfp4`): `w = scale * number`.
//!
//! mxfp4 and mxfp8 are the microscaling formats of the Open Compute Project (OCP MX 1.0): 32 numbers
//! of e2m1 or e4m3 have a scale of e8m0. nvfp4 is NVIDIA's: 16 numbers of e2m1, a scale of e4m3.
//! `words` is `(N, K * bits / 32)` u32, numbers from the least significant bits on; `scales` is
//! `(N, K / group)` u8.

mod cpu;
mod metal;
mod quantize;
mod reference;
#[cfg(test)]
mod tests;

use super::{Blocks, Msl, Packed, check, codes};
use crate::Result;
use candle_core::{DType, Device, Result as CandleResult, Tensor};

/// Dtypes of matrices that are packed.
const FLOATS: [DType; 3] = [DType::F32, DType::F16, DType::BF16];

/// Small floats that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// e2m1 by 32 with e8m0.
    Mxfp4,
    /// e4m3 by 32 with e8m0.
    Mxfp8,
    /// e2m1 by 16 with e4m3.
    Nvfp4,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Mxfp4, Self::Mxfp8, Self::Nvfp4];

    /// The name, as MLX's `mode` has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mxfp4 => "mxfp4",
            Self::Mxfp8 => "mxfp8",
            Self::Nvfp4 => "nvfp4",
        }
    }

    /// Bits of a number.
    #[must_use]
    pub const fn bits(self) -> usize {
        match self {
            Self::Mxfp4 | Self::Nvfp4 => 4,
            Self::Mxfp8 => 8,
        }
    }

    /// Numbers that share a scale.
    #[must_use]
    pub const fn group(self) -> usize {
        match self {
            Self::Mxfp4 | Self::Mxfp8 => 32,
            Self::Nvfp4 => 16,
        }
    }

    /// Values of scales.
    const fn scales(self) -> &'static codes::Table {
        match self {
            Self::Mxfp4 | Self::Mxfp8 => &codes::E8M0,
            Self::Nvfp4 => &codes::E4M3,
        }
    }
}

/// A matrix `(N, K)` of small floats with small scales.
#[derive(Clone, Debug)]
pub struct Microscaled {
    kind: Kind,
    words: Tensor,
    scales: Tensor,
}

impl Microscaled {
    /// Takes the tensors of a file.
    ///
    /// # Errors
    /// When a shape or dtype does not fit, a scale or a number is NaN, or the tensors are on a device
    /// without kernels.
    pub fn new(kind: Kind, [words, scales]: [Tensor; 2]) -> Result<Self> {
        let name = kind.name();
        let (n, n_groups) = scales.dims2()?;
        let of_words = (n, n_groups * kind.group() * kind.bits() / 32);
        check::rows(name, "words", of_words, &words, &[DType::U32])?;
        check::dtype(name, "scales", &scales, &[DType::U8])?;
        let packed = Self {
            kind,
            words: words.contiguous()?,
            scales: scales.contiguous()?,
        };
        let host = packed.in_host_memory()?;
        check::no_nan(name, cpu::OnHost::new(&host)?.first_nan())?;
        check::computable(name, packed)
    }

    /// Kind of its numbers.
    #[must_use]
    pub fn kind_of_numbers(&self) -> Kind {
        self.kind
    }

    fn in_host_memory(&self) -> CandleResult<Self> {
        Ok(Self {
            kind: self.kind,
            words: self.words.to_device(&Device::Cpu)?,
            scales: self.scales.to_device(&Device::Cpu)?,
        })
    }
}

impl Microscaled {
    /// Packs a matrix `(N, K)` of floats: what MLX makes of it, to the bit.
    ///
    /// # Errors
    /// When `K` is no multiple of a group, a number is not finite, or memory runs out.
    pub fn quantize(dense: &Tensor, kind: Kind) -> Result<Self> {
        Self::new(kind, quantize::tensors(dense, kind, None)?)
    }
}

impl Packed for Microscaled {
    fn kind(&self) -> String {
        self.kind.name().into()
    }

    fn dims(&self) -> (usize, usize) {
        let dims = self.scales.dims();
        (dims[0], dims[1] * self.kind.group())
    }

    fn device(&self) -> &Device {
        self.words.device()
    }

    fn tensors(&self) -> Vec<(&'static str, &Tensor)> {
        vec![("weight", &self.words), ("scales", &self.scales)]
    }

    /// Dtype that MLX makes it dense in where it is not told.
    fn dtype(&self) -> DType {
        DType::BF16
    }

    fn dense(&self) -> Result<Tensor> {
        reference::dense(self)
    }

    /// A group keeps its scale where that suits its new numbers as well as another does.
    fn pack(&self, dense: &Tensor) -> Result<Option<super::Weight>> {
        let before = quantize::Before::new(self)?;
        check::rows(self.kind.name(), "dense", self.dims(), dense, &FLOATS)?;
        let tensors = quantize::tensors(dense, self.kind, Some(&before))?;
        Ok(Some(Self::new(self.kind, tensors)?.into()))
    }

    fn on_host(&self) -> CandleResult<Box<dyn Blocks + '_>> {
        Ok(Box::new(cpu::OnHost::new(self)?))
    }

    fn msl(&self) -> Option<Msl<'_>> {
        Some(metal::msl(self))
    }
}
