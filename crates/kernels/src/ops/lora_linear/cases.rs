//! Shapes of the adapted layer.

use crate::case::{self, Case, Cost, Costed, TRAINED_TOKENS};
use crate::weight::packing::Packing;
use candle_core::DType;

/// Sizes and options.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseShape {
    /// Leading dimensions of `x`.
    pub lead: Vec<usize>,
    /// `K`.
    pub inputs: usize,
    /// `N`.
    pub outputs: usize,
    /// `R`.
    pub rank: usize,
    /// Whether the frozen layer has a bias.
    pub bias: bool,
    /// Probability of dropping an input of the adapter; 0 is none.
    pub dropout: f64,
    /// Dtype of the frozen weight, where it is not that of `x`.
    pub weight_dtype: Option<DType>,
    /// How the frozen weight is packed, where it is.
    pub packing: Option<Packing>,
}

impl CaseShape {
    /// `(.., K)`.
    #[must_use]
    pub fn x_dims(&self) -> Vec<usize> {
        [&self.lead[..], &[self.inputs]].concat()
    }

    fn rows(&self) -> usize {
        self.lead.iter().product()
    }

    fn adapter(&self) -> usize {
        self.rank * (self.inputs + self.outputs)
    }

    fn moved(&self, dtype: DType, copies: usize) -> u64 {
        let weight_dtype = self.weight_dtype.unwrap_or(dtype);
        let frozen = Cost::new(0, self.inputs * self.outputs, weight_dtype).bytes;
        let rows = self.rows() * (self.inputs + self.outputs);
        frozen + Cost::new(0, copies * (rows + self.adapter()), dtype).bytes
    }
}

impl Costed for CaseShape {
    /// Three products.
    fn forward(&self, dtype: DType) -> Cost {
        let weights = self.inputs * self.outputs + self.adapter();
        Cost {
            flops: 2 * (self.rows() * weights) as u64,
            bytes: self.moved(dtype, 1),
        }
    }

    /// `dx` through both branches, `dA` and `dB`; reads `x` and `dy`, writes `dx`.
    fn backward(&self, dtype: DType) -> Cost {
        let weights = self.inputs * self.outputs + 2 * self.adapter();
        Cost {
            flops: 2 * (self.rows() * weights) as u64,
            bytes: self.moved(dtype, 2),
        }
    }
}

/// One row, one column, rank one, primes, a bias, dropout and a frozen weight of another dtype.
#[must_use]
pub fn small() -> Vec<Case<CaseShape>> {
    let plain = [
        shape(&[1], 1, 1, 1),
        shape(&[1], 7, 5, 2),
        shape(&[5], 3, 1, 2),
        shape(&[], 3, 4, 2),
        shape(&[2, 3], 11, 13, 3),
        shape(&[17], 33, 19, 4),
    ];
    let mut shapes = plain.to_vec();
    let [.., odd, large] = plain;
    shapes.extend([
        CaseShape {
            bias: true,
            ..odd.clone()
        },
        CaseShape {
            dropout: 0.4,
            ..odd.clone()
        },
        CaseShape {
            weight_dtype: Some(DType::BF16),
            ..odd
        },
        CaseShape {
            bias: true,
            dropout: 0.1,
            weight_dtype: Some(DType::F16),
            ..large
        },
        CaseShape {
            bias: true,
            packing: Some(Packing::Affine {
                bits: 4,
                group: 32,
                factors: DType::F16,
            }),
            ..shape(&[17], 64, 19, 4)
        },
        CaseShape {
            dropout: 0.4,
            packing: Some(Packing::Affine {
                bits: 8,
                group: 64,
                factors: DType::BF16,
            }),
            ..shape(&[2], 64, 33, 2)
        },
        CaseShape {
            bias: true,
            packing: Some(Packing::Nf4),
            ..shape(&[17], 67, 19, 4)
        },
    ]);
    shapes.extend(Packing::all().into_iter().map(|packing| CaseShape {
        packing: Some(packing),
        ..shape(&[2], packing.row().next_multiple_of(32), 3, 2)
    }));
    case::small(shapes)
}

/// Dropout, whose factors are drawn by a kernel of its own, in every dtype.
#[must_use]
pub fn dropped() -> Vec<Case<CaseShape>> {
    case::contiguous([CaseShape {
        dropout: 0.4,
        ..shape(&[2, 3], 11, 13, 3)
    }])
}

/// The layers that adapters sit on, for one token and for a training row, at rank 16.
#[must_use]
pub fn models() -> Vec<Case<CaseShape>> {
    case::of_models(|model| {
        let attention = model.heads * model.head_width;
        let layers = [
            (model.hidden, attention),
            (model.hidden, model.kv_heads * model.head_width),
            (model.hidden, model.intermediate),
            (model.intermediate, model.hidden),
        ];
        let rows = [1, TRAINED_TOKENS].into_iter();
        rows.flat_map(|rows| layers.map(|(k, n)| shape(&[rows], k, n, 16)))
            .collect()
    })
}

/// Square layers: two for one token and for a training row, and two narrow ones for a row, as others publish them.
#[must_use]
pub fn table() -> Vec<Case<CaseShape>> {
    let one = [896, 2048].map(|width| (1, width));
    let row = [512, 896, 1024, 2048].map(|width| (TRAINED_TOKENS, width));
    let layers = one.into_iter().chain(row);
    let shapes =
        layers.flat_map(|(rows, width)| [8, 16].map(|rank| shape(&[rows], width, width, rank)));
    case::of_table(shapes, &[DType::F32])
}

fn shape(lead: &[usize], inputs: usize, outputs: usize, rank: usize) -> CaseShape {
    CaseShape {
        lead: lead.to_vec(),
        inputs,
        outputs,
        rank,
        bias: false,
        dropout: 0.0,
        weight_dtype: None,
        packing: None,
    }
}
