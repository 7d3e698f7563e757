//! Shapes of the product with a frozen weight that is packed, or of another dtype than `x`.

use crate::case::{self, Case, Cost, Costed, TRAINED_TOKENS};
use crate::weight::gguf::BlockType;
use crate::weight::microscaling::Kind;
use crate::weight::packing::{Packing, weight_of};
use crate::{Result, Weight};
use candle_core::{DType, Tensor};
use std::fmt;

/// Sizes and how the weight is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseShape {
    /// Leading dimensions of `x`.
    pub lead: Vec<usize>,
    /// `K`.
    pub inputs: usize,
    /// `N`.
    pub outputs: usize,
    /// Whether there is a bias.
    pub bias: bool,
    /// How the weight is stored.
    pub storage: Storage,
}

/// A weight's storage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Storage {
    /// Dense, in a dtype whatever that of `x` is.
    Dense(DType),
    /// Packed.
    Packed(Packing),
}

impl Storage {
    /// The dtype of a dense one.
    pub(crate) fn dtype(self) -> Option<DType> {
        match self {
            Self::Dense(dtype) => Some(dtype),
            Self::Packed(_) => None,
        }
    }

    /// The packing of a packed one.
    #[must_use]
    pub fn packing(self) -> Option<Packing> {
        match self {
            Self::Dense(_) => None,
            Self::Packed(packing) => Some(packing),
        }
    }

    /// A matrix `(N, K)` so stored.
    ///
    /// # Errors
    /// When it does not divide into groups.
    pub fn weight(self, matrix: &Tensor) -> Result<Weight> {
        match self {
            Self::Dense(dtype) => Ok(matrix.to_dtype(dtype)?.into()),
            Self::Packed(packing) => weight_of(matrix, Some(packing)),
        }
    }

    fn bytes(self, numbers: usize) -> u64 {
        match self {
            Self::Dense(dtype) => Cost::new(0, numbers, dtype).bytes,
            Self::Packed(packing) => packing.bytes(numbers) as u64,
        }
    }
}

impl CaseShape {
    /// `(.., K)`.
    #[must_use]
    pub fn x_dims(&self) -> Vec<usize> {
        [&self.lead[..], &[self.inputs]].concat()
    }

    fn cost(&self, dtype: DType) -> Cost {
        let rows: usize = self.lead.iter().product();
        let numbers = self.inputs * self.outputs;
        let moved = Cost::new(0, rows * (self.inputs + self.outputs), dtype).bytes;
        Cost {
            flops: 2 * (rows * numbers) as u64,
            bytes: self.storage.bytes(numbers) + moved,
        }
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dense(dtype) => write!(f, "{}", dtype.as_str()),
            Self::Packed(packing) => write!(f, "{packing}"),
        }
    }
}

impl Costed for CaseShape {
    fn forward(&self, dtype: DType) -> Cost {
        self.cost(dtype)
    }

    /// `dx` alone.
    fn backward(&self, dtype: DType) -> Cost {
        self.cost(dtype)
    }
}

/// Every packing and dtype, factors in every dtype, one row and many, and sizes that are no multiple of any block.
#[must_use]
pub fn small() -> Vec<Case<CaseShape>> {
    let (f32, f16, bf16) = (DType::F32, DType::F16, DType::BF16);
    let bits = [(2, f32), (3, f16), (4, bf16), (5, f32), (6, f16), (8, bf16)];
    let bits = bits.map(|(bits, factors)| packed(&[3], 64, 5, affine(bits, 32, factors)));
    let sizes = [
        packed(&[1], 32, 1, affine(4, 32, f32)),
        packed(&[], 128, 37, affine(4, 64, f16)),
        packed(&[2, 9], 96, 41, affine(8, 32, bf16)),
        packed(&[43], 256, 35, affine(4, 128, f16)),
        // Fewer outputs than 32: candle's `gemv_t`, by which the reference multiplies one row, has a barrier in divergent flow.
        packed(&[1], 33, 21, Packing::Nf4),
        packed(&[2, 9], 77, 19, Packing::Nf4),
        packed(&[3], 37, 45, Packing::Fp8 { block: (16, 32) }),
        packed(&[3], 37, 5, Packing::Int8),
        packed(&[1], 192, 21, Packing::ZeroPoint),
        packed(&[2, 9], 128, 41, Packing::ZeroPoint),
    ];
    let floats = Kind::ALL.map(|kind| packed(&[2, 3], 64, 19, Packing::Microscaled(kind)));
    let blocks = BlockType::all()
        .map(|block| packed(&[2], block.numbers().max(64), 3, Packing::Gguf(block)));
    let dense = [
        dense(&[1], 1, 1, DType::BF16),
        dense(&[1], 27, 9, DType::F16),
        dense(&[2], 261, 21, DType::F32),
        dense(&[4], 64, 5, DType::BF16),
        dense(&[2, 4], 83, 17, DType::F16),
        dense(&[9], 40, 70, DType::BF16),
        dense(&[70], 33, 65, DType::F16),
    ];
    let packed = bits.into_iter().chain(sizes).chain(floats).chain(blocks);
    case::small(packed.chain(dense))
}

/// The layers of models for one token and for a training row, at 4 bits and in bfloat16; for one token in codes of few bits,
/// too.
#[must_use]
pub fn models() -> Vec<Case<CaseShape>> {
    let codes = Kind::ALL.map(Packing::Microscaled);
    let codes = [Packing::Nf4].into_iter().chain(codes);
    case::of_models(|model| {
        let layers = [
            (model.hidden, model.intermediate),
            (model.intermediate, model.hidden),
        ];
        let mut shapes = vec![];
        for (k, n) in layers {
            for rows in [1, TRAINED_TOKENS] {
                shapes.push(packed(&[rows], k, n, affine(4, 64, DType::BF16)));
                shapes.push(dense(&[rows], k, n, DType::BF16));
            }
            shapes.extend(codes.clone().map(|packing| packed(&[1], k, n, packing)));
        }
        shapes
    })
}

fn affine(bits: usize, group: usize, factors: DType) -> Packing {
    Packing::Affine {
        bits,
        group,
        factors,
    }
}

fn packed(lead: &[usize], inputs: usize, outputs: usize, packing: Packing) -> CaseShape {
    CaseShape {
        lead: lead.to_vec(),
        inputs,
        outputs,
        bias: lead.len() == 1,
        storage: Storage::Packed(packing),
    }
}

fn dense(lead: &[usize], inputs: usize, outputs: usize, dtype: DType) -> CaseShape {
    CaseShape {
        lead: lead.to_vec(),
        inputs,
        outputs,
        bias: inputs % 2 == 1,
        storage: Storage::Dense(dtype),
    }
}
