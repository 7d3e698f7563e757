//! Blocks of numbers of 4 bits with their largest magnitude, as bitsandbytes stores them
//! (`bitsandbytes.functional.quantize_4bit`, `nf4` and `fp4`): `w = quant_map[q] * absmax`.
//!
//! Numbers of all rows lie one after the other, two in a byte, the high half first; blocks of them run
//! across the ends of rows, and the last may be short. `absmax` is float32, or itself 8 bits in blocks
//! ([`Nested`]), "double quantization" (QLoRA, arXiv:2305.14314). These are the numbers that
//! bitsandbytes' `dequantize_4bit` gives in float32; in the 16-bit dtypes it rounds them.

mod cpu;
mod metal;
mod quantize;
mod reference;
#[cfg(test)]
mod tests;

use super::codes::{self, First, Pairs};
use super::{Blocks, Msl, Packed, check, msl};
use crate::Result;
use candle_core::{DType, Device, Result as CandleResult, Tensor};

/// The name in errors.
const NAME: &str = "bnb_4bit";

/// Dtypes of matrices that are packed.
const FLOATS: [DType; 3] = [DType::F32, DType::F16, DType::BF16];

/// Numbers of a block that the quantizers use; files may have others.
pub const BLOCK: usize = 64;

/// The 4-bit normal float: values that are equally likely of a normal distribution.
pub const NF4: [f32; 16] = [
    -1.0,
    -0.696_192_8,
    -0.525_073_05,
    -0.394_917_5,
    -0.284_441_38,
    -0.184_773_43,
    -0.091_050_036,
    0.0,
    0.079_580_3,
    0.160_930_2,
    0.246_112_3,
    0.337_915_24,
    0.440_709_83,
    0.562_617,
    0.722_956_84,
    1.0,
];

/// Table that the numbers are of. The file has its values; the name is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 4-bit normal float.
    Nf4,
    /// 4-bit float.
    Fp4,
}

impl Kind {
    /// The name, as `bnb_4bit_quant_type` has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nf4 => "nf4",
            Self::Fp4 => "fp4",
        }
    }
}

/// Largest magnitudes of blocks that are numbers of 8 bits themselves:
/// `absmax[i] = quant_map[q[i]] * absmax_of_block + offset`.
#[derive(Clone, Debug)]
pub struct Nested {
    /// float32, one for each block of blocks.
    pub absmax: Tensor,
    /// float32, (256).
    pub quant_map: Tensor,
    /// Blocks of a block.
    pub block: usize,
    /// Number that is added to each.
    pub offset: f32,
}

/// The tensors of a file.
#[derive(Clone, Debug)]
pub struct Parts {
    /// u8, `ceil(N K / 2)` of them in any shape.
    pub bytes: Tensor,
    /// `(ceil(N K / block))` float32, or u8 where they are nested.
    pub absmax: Tensor,
    /// float32, (16).
    pub quant_map: Tensor,
    /// Whether `absmax` are numbers of 8 bits.
    pub nested: Option<Nested>,
}

/// A matrix `(N, K)` of numbers of 4 bits.
#[derive(Clone, Debug)]
pub struct Bnb4bit {
    kind: Kind,
    dims: (usize, usize),
    block: usize,
    parts: Parts,
    pairs: Box<Pairs>,
    /// Values of the numbers, and what is nested, behind each other: kernels on a GPU take three tensors.
    floats: Tensor,
}

impl Bnb4bit {
    /// Takes the tensors of a file: a matrix of `dims`, in blocks of `block` numbers.
    ///
    /// # Errors
    /// When a shape or dtype does not fit, or the tensors are on a device without kernels.
    pub fn new(kind: Kind, dims: (usize, usize), block: usize, parts: Parts) -> Result<Self> {
        check_parts(dims, block, &parts)?;
        let mut values = [0.0; 16];
        values.copy_from_slice(&parts.quant_map.flatten_all()?.to_vec1::<f32>()?);
        let (floats, parts) = together(parts)?;
        let packed = Self {
            kind,
            dims,
            block,
            pairs: Box::new(codes::pairs(&values, First::High)),
            parts: Parts {
                bytes: msl::in_words(&parts.bytes)?,
                absmax: parts.absmax.contiguous()?,
                ..parts
            },
            floats,
        };
        check::computable(NAME, packed)
    }

    /// Packs a matrix `(N, K)` of floats as nf4 in blocks of [`BLOCK`], with float32 magnitudes: what
    /// bitsandbytes makes of it, to the bit.
    ///
    /// # Errors
    /// When a number is not finite, or memory runs out.
    pub fn quantize(dense: &Tensor) -> Result<Self> {
        let parts = quantize::parts(dense)?;
        Self::new(Kind::Nf4, dense.dims2()?, BLOCK, parts)
    }
}

impl Bnb4bit {
    /// Table that the numbers are of.
    #[must_use]
    pub fn table(&self) -> Kind {
        self.kind
    }

    /// Numbers of a block.
    #[must_use]
    pub fn block(&self) -> usize {
        self.block
    }

    /// What says how magnitudes are numbers of 8 bits, where they are.
    #[must_use]
    pub fn nested(&self) -> Option<&Nested> {
        self.parts.nested.as_ref()
    }
}

/// Values of numbers, and of nested magnitudes with what is added to each and their factors, in one tensor, and the parts
/// as views of it.
fn together(parts: Parts) -> CandleResult<(Tensor, Parts)> {
    let quant_map = parts.quant_map.flatten_all()?;
    let Some(nested) = parts.nested else {
        let floats = quant_map.contiguous()?;
        return Ok((floats, Parts { quant_map, ..parts }));
    };
    let offset = Tensor::new(&[nested.offset], quant_map.device())?;
    let of_codes = nested.quant_map.flatten_all()?;
    let all = [quant_map, of_codes, offset, nested.absmax.flatten_all()?];
    let floats = Tensor::cat(&all, 0)?;
    let behind = |i: usize| all[..i].iter().map(Tensor::elem_count).sum();
    let view = |i: usize| floats.narrow(0, behind(i), all[i].elem_count());
    let nested = Nested {
        absmax: view(3)?,
        quant_map: view(1)?,
        ..nested
    };
    let (quant_map, nested) = (view(0)?, Some(nested));
    let parts = Parts {
        quant_map,
        nested,
        ..parts
    };
    Ok((floats, parts))
}

fn check_parts((n, k): (usize, usize), block: usize, parts: &Parts) -> Result<()> {
    let Some(numbers) = n.checked_mul(k).filter(|n| *n > 0) else {
        return Err(check::value(
            NAME,
            "shape",
            "of one number at least",
            format!("({n}, {k})"),
        ));
    };
    if block == 0 {
        return Err(check::value(NAME, "blocksize", "from 1 on", 0));
    }
    let blocks = numbers.div_ceil(block);
    let absmax = match parts.nested {
        None => DType::F32,
        Some(_) => DType::U8,
    };
    check::numbers(NAME, "weight", numbers.div_ceil(2), &parts.bytes, DType::U8)?;
    check::numbers(NAME, "absmax", blocks, &parts.absmax, absmax)?;
    check::numbers(NAME, "quant_map", 16, &parts.quant_map, DType::F32)?;
    match &parts.nested {
        None => Ok(()),
        Some(nested) => check_nested(nested, blocks),
    }
}

fn check_nested(nested: &Nested, blocks: usize) -> Result<()> {
    let Nested {
        absmax, quant_map, ..
    } = nested;
    if nested.block == 0 {
        return Err(check::value(NAME, "nested_blocksize", "from 1 on", 0));
    }
    if !nested.offset.is_finite() {
        return Err(check::value(NAME, "nested_offset", "finite", nested.offset));
    }
    let n_absmax = blocks.div_ceil(nested.block);
    check::numbers(NAME, "nested_absmax", n_absmax, absmax, DType::F32)?;
    check::numbers(NAME, "nested_quant_map", 256, quant_map, DType::F32)
}

impl Packed for Bnb4bit {
    fn kind(&self) -> String {
        let nested = match self.parts.nested {
            None => "",
            Some(_) => ", double quantization",
        };
        format!("{}, blocks of {}{nested}", self.kind.name(), self.block)
    }

    fn dims(&self) -> (usize, usize) {
        self.dims
    }

    fn device(&self) -> &Device {
        self.parts.bytes.device()
    }

    fn tensors(&self) -> Vec<(&'static str, &Tensor)> {
        let Parts {
            bytes,
            absmax,
            quant_map,
            nested,
        } = &self.parts;
        let mut tensors = vec![
            ("weight", bytes),
            ("weight.absmax", absmax),
            ("weight.quant_map", quant_map),
        ];
        if let Some(nested) = nested {
            tensors.push(("weight.nested_absmax", &nested.absmax));
            tensors.push(("weight.nested_quant_map", &nested.quant_map));
        }
        tensors
    }

    fn dense(&self) -> Result<Tensor> {
        reference::dense(self)
    }

    /// Magnitudes are float32, as the quantizer has them; it packs nf4 in its blocks alone.
    fn pack(&self, dense: &Tensor) -> Result<Option<super::Weight>> {
        check::rows(NAME, "dense", self.dims, dense, &FLOATS)?;
        match (self.kind, self.block) {
            (Kind::Nf4, BLOCK) => Ok(Some(Self::quantize(dense)?.into())),
            _ => Ok(None),
        }
    }

    fn on_host(&self) -> CandleResult<Box<dyn Blocks + '_>> {
        Ok(Box::new(cpu::OnHost::new(self)?))
    }

    fn msl(&self) -> Option<Msl<'_>> {
        metal::msl(self)
    }
}
