//! Shapes of the product with a packed weight.

use crate::case::{self, Case, Cost, Costed, TRAINED_TOKENS};
use crate::weight::microscaling::Kind;
use crate::weight::packing::Packing;
use candle_core::DType;

/// Sizes and the packing.
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
    /// How the weight is packed.
    pub packing: Packing,
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
        let packed = self.packing.bytes(numbers);
        let moved = Cost::new(0, rows * (self.inputs + self.outputs), dtype).bytes;
        Cost {
            flops: 2 * (rows * numbers) as u64,
            bytes: packed as u64 + moved,
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

/// Every packing, one row and many, and sizes that are no multiple of any block.
#[must_use]
pub fn small() -> Vec<Case<CaseShape>> {
    let bits = [2, 3, 4, 5, 6, 8].map(|bits| shape(&[3], 64, 5, affine(bits, 32)));
    let sizes = [
        shape(&[1], 32, 1, affine(4, 32)),
        shape(&[], 128, 37, affine(4, 64)),
        shape(&[2, 9], 96, 41, affine(8, 32)),
        shape(&[43], 256, 35, affine(4, 128)),
        shape(&[1], 33, 35, Packing::Nf4),
        shape(&[2, 9], 77, 19, Packing::Nf4),
        shape(&[3], 37, 45, Packing::Fp8 { block: (16, 32) }),
        shape(&[3], 37, 5, Packing::Int8),
    ];
    let floats = Kind::ALL.map(|kind| shape(&[2, 3], 64, 19, Packing::Microscaled(kind)));
    case::small(bits.into_iter().chain(sizes).chain(floats))
}

/// The layers of models for one token and for a training row, at 4 bits.
#[must_use]
pub fn models() -> Vec<Case<CaseShape>> {
    case::of_models(|model| {
        let layers = [
            (model.hidden, model.intermediate),
            (model.intermediate, model.hidden),
        ];
        let rows = [1, TRAINED_TOKENS].into_iter();
        rows.flat_map(|rows| layers.map(|(k, n)| shape(&[rows], k, n, affine(4, 64))))
            .collect()
    })
}

fn affine(bits: usize, group: usize) -> Packing {
    Packing::Affine { bits, group }
}

fn shape(lead: &[usize], inputs: usize, outputs: usize, packing: Packing) -> CaseShape {
    CaseShape {
        lead: lead.to_vec(),
        inputs,
        outputs,
        bias: lead.len() == 1,
        packing,
    }
}
