//! Shapes of the rotation.

use super::RopePairs;
use crate::case::{self, Case, Cost, Costed, TRAINED_TOKENS};
use candle_core::DType;

/// Sizes of `x` and of the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseShape {
    /// `B`.
    pub batch: usize,
    /// `H`.
    pub heads: usize,
    /// `T`.
    pub tokens: usize,
    /// `D`.
    pub width: usize,
    /// `R`, even.
    pub rotated: usize,
    /// Tables are `(B, T, R/2)` instead of `(T, R/2)`.
    pub table_per_row: bool,
    /// Which elements are a pair.
    pub pairs: RopePairs,
}

impl CaseShape {
    /// `(B, H, T, D)`.
    #[must_use]
    pub fn dims(&self) -> [usize; 4] {
        [self.batch, self.heads, self.tokens, self.width]
    }

    /// Shape of `cos` and `sin`.
    #[must_use]
    pub fn table_dims(&self) -> Vec<usize> {
        match self.table_per_row {
            true => vec![self.batch, self.tokens, self.rotated / 2],
            false => vec![self.tokens, self.rotated / 2],
        }
    }

    fn cost(&self, dtype: DType) -> Cost {
        let n: usize = self.dims().iter().product();
        let table: usize = self.table_dims().iter().product();
        Cost::new(3 * n, 2 * n + 2 * table, dtype)
    }
}

impl Costed for CaseShape {
    fn forward(&self, dtype: DType) -> Cost {
        self.cost(dtype)
    }

    fn backward(&self, dtype: DType) -> Cost {
        self.cost(dtype)
    }
}

/// `(B, H, T, D)` with one of each, primes, enough elements for several threads, both kinds of table,
/// both kinds of pairs, and heads that are rotated in part.
#[must_use]
pub fn small() -> Vec<Case<CaseShape>> {
    let sizes = [
        (1, 1, 1, 2),
        (1, 3, 1, 6),
        (2, 1, 5, 4),
        (2, 3, 4, 34),
        (3, 2, 7, 10),
    ];
    let tables = [false, true].into_iter();
    let mut cases = case::small(tables.flat_map(|per_row| sizes.map(|s| shape(s, per_row))));
    cases.extend(case::small(others()));
    cases.push(case::plain(shape((2, 3, 131, 98), true)));
    cases
}

/// Whole numbers of fours of pairs, even and odd, of both kinds, and heads that are rotated in part.
#[must_use]
pub fn in_fours() -> Vec<Case<CaseShape>> {
    let mut shapes = vec![];
    for pairs in RopePairs::ALL {
        for rotated in [16, 24, 32] {
            let whole = shape((2, 3, 5, 32), rotated == 32);
            shapes.push(CaseShape {
                rotated,
                pairs,
                ..whole
            });
        }
    }
    case::contiguous(shapes)
}

/// Interleaved pairs, and heads that are rotated in part, down to one pair.
fn others() -> Vec<CaseShape> {
    let mut others = vec![];
    for pairs in RopePairs::ALL {
        for (sizes, rotated) in [((2, 3, 4, 34), 34), ((1, 2, 5, 7), 2), ((2, 1, 3, 40), 34)] {
            others.push(CaseShape {
                rotated,
                pairs,
                ..shape(sizes, rotated == 34)
            });
        }
    }
    others
}

/// Queries and keys of one token and of a training row.
#[must_use]
pub fn models() -> Vec<Case<CaseShape>> {
    case::of_models(|model| {
        let mut shapes = vec![];
        for tokens in [1, TRAINED_TOKENS] {
            for heads in [model.heads, model.kv_heads] {
                shapes.push(shape((1, heads, tokens, model.head_width), false));
            }
        }
        shapes
    })
}

/// The queries of a training row of a small model.
#[must_use]
pub fn table() -> Vec<Case<CaseShape>> {
    case::of_table([shape((1, 14, TRAINED_TOKENS, 64), false)], &[DType::F32])
}

fn shape(sizes: (usize, usize, usize, usize), table_per_row: bool) -> CaseShape {
    CaseShape {
        batch: sizes.0,
        heads: sizes.1,
        tokens: sizes.2,
        width: sizes.3,
        rotated: sizes.3,
        table_per_row,
        pairs: RopePairs::Halves,
    }
}
