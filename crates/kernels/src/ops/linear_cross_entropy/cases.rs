//! Shapes of the loss.

use crate::IGNORED_TARGET;
use crate::case::{self, Case, Cost, Costed, TRAINED_TOKENS};
use crate::weight::gguf::BlockType;
use crate::weight::microscaling::Kind;
use crate::weight::packing::Packing;
use candle_core::DType;

/// Sizes and which rows have a target.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseShape {
    /// `N`.
    pub rows: usize,
    /// `D`.
    pub width: usize,
    /// `V`.
    pub vocabulary: usize,
    /// Every how many-th row is trained; 0 is none.
    pub trained_every: usize,
    /// How the weight is packed, where it is.
    pub packing: Option<Packing>,
    /// Bound of the logits.
    pub softcap: Option<f64>,
}

impl CaseShape {
    /// Targets that are spread over the vocabulary.
    #[must_use]
    pub fn targets(&self) -> Vec<i64> {
        let spread = |row: usize| row * self.vocabulary / self.rows + 7 * row;
        let target = |row: usize| match self.trained_every {
            every if every != 0 && row.is_multiple_of(every) => {
                (spread(row) % self.vocabulary) as i64
            }
            _ => IGNORED_TARGET,
        };
        (0..self.rows).map(target).collect()
    }

    fn trained_rows(&self) -> usize {
        match self.trained_every {
            0 => 0,
            every => self.rows.div_ceil(every),
        }
    }

    fn product(&self) -> usize {
        2 * self.trained_rows() * self.width * self.vocabulary
    }
}

impl Costed for CaseShape {
    /// The loss alone: one product and an exponential of each logit; logits stay inside.
    fn forward(&self, dtype: DType) -> Cost {
        let exponentials = 4 * self.trained_rows() * self.vocabulary;
        let moved = self.trained_rows() * self.width + self.vocabulary * self.width;
        Cost::new(self.product() + exponentials, moved, dtype)
    }

    /// The gradient of the hidden state: a second product with the frozen weight.
    fn backward(&self, dtype: DType) -> Cost {
        let moved = self.rows * self.width + self.vocabulary * self.width;
        Cost::new(self.product(), moved, dtype)
    }
}

/// One row, one column, a vocabulary of one, primes, ignored targets and none trained, bounds, and, of
/// Metal's kernels, more rows than a tile and a vocabulary of several parts, of a CPU all shares of it.
#[must_use]
pub fn small() -> Vec<Case<CaseShape>> {
    // Blocks in rows, of bytes and of halves, with one factor and with two; `linear` has every format.
    let packings = [
        Packing::Nf4,
        Packing::Int8,
        Packing::Microscaled(Kind::Nvfp4),
        Packing::ZeroPoint,
        Packing::Gguf(BlockType::Q4_K),
    ];
    let packed = packings.map(|packing| CaseShape {
        packing: Some(packing),
        ..shape(2, packing.row().next_multiple_of(32), 5, 1)
    });
    let shapes = [
        shape(1, 1, 1, 1),
        shape(1, 5, 7, 1),
        shape(4, 1, 3, 1),
        shape(5, 3, 11, 2),
        shape(7, 4, 17, 1),
        shape(3, 4, 5, 0),
        shape(13, 8, 33, 3),
        shape(23, 17, 67, 1),
        shape(66, 2, 3, 1),
        shape(3, 70, 1100, 1),
        shape(5, 2, 4200, 2),
        CaseShape {
            packing: Some(Packing::Affine {
                bits: 4,
                group: 32,
                factors: DType::BF16,
            }),
            ..shape(5, 64, 1100, 2)
        },
        bounded(shape(1, 1, 1, 1), 1.0),
        bounded(shape(7, 4, 17, 1), 0.8),
        bounded(shape(13, 8, 33, 3), 30.0),
        bounded(shape(3, 70, 1100, 1), 2.0),
    ];
    case::small(shapes.into_iter().chain(packed))
}

/// A training row whose prompt, half of it, is not trained.
#[must_use]
pub fn models() -> Vec<Case<CaseShape>> {
    case::of_models(|m| vec![shape(TRAINED_TOKENS, m.hidden, m.vocabulary, 2)])
}

/// A training row, all of it trained, under the largest vocabulary.
#[must_use]
pub fn table() -> Vec<Case<CaseShape>> {
    case::of_table([shape(512, 896, 151_936, 1)], &[DType::F32])
}

fn shape(rows: usize, width: usize, vocabulary: usize, trained_every: usize) -> CaseShape {
    CaseShape {
        rows,
        width,
        vocabulary,
        trained_every,
        packing: None,
        softcap: None,
    }
}

fn bounded(shape: CaseShape, cap: f64) -> CaseShape {
    CaseShape {
        softcap: Some(cap),
        ..shape
    }
}
