//! Shapes of softmax.

use crate::case::{self, Case, Cost, Costed, TRAINED_TOKENS};
use candle_core::DType;

/// Sizes of `x`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseShape {
    /// `(.., D)`.
    pub dims: Vec<usize>,
}

impl Costed for CaseShape {
    /// Shift, exponential, sum and division of each element.
    fn forward(&self, dtype: DType) -> Cost {
        let n: usize = self.dims.iter().product();
        Cost::new(4 * n, 2 * n, dtype)
    }

    /// A dot product and a scaled difference; reads `y` and `dy`, writes `dx`.
    fn backward(&self, dtype: DType) -> Cost {
        let n: usize = self.dims.iter().product();
        Cost::new(4 * n, 3 * n, dtype)
    }
}

/// One row, one column, primes, both sides of a vector register's width, and enough elements for
/// several threads.
#[must_use]
pub fn small() -> Vec<Case<CaseShape>> {
    let dims: [&[usize]; 9] = [
        &[1],
        &[7],
        &[1, 1],
        &[1, 17],
        &[13, 1],
        &[5, 15],
        &[3, 16],
        &[2, 3, 33],
        &[31, 37],
    ];
    let mut cases = case::small(dims.map(|dims| CaseShape { dims: dims.into() }));
    cases.push(case::plain(CaseShape {
        dims: vec![71, 1031],
    }));
    cases
}

/// Whole numbers of fours, less and more than a SIMD group keeps.
#[must_use]
pub fn in_fours() -> Vec<Case<CaseShape>> {
    let dims = [vec![2, 3, 36], vec![5, 520]];
    case::contiguous(dims.map(|dims| CaseShape { dims }))
}

/// Attention scores of one row, and the logits of one token.
#[must_use]
pub fn models() -> Vec<Case<CaseShape>> {
    case::of_models(|model| {
        vec![
            CaseShape {
                dims: vec![model.heads, TRAINED_TOKENS, TRAINED_TOKENS],
            },
            CaseShape {
                dims: vec![1, model.vocabulary],
            },
        ]
    })
}

/// Many rows, and long ones.
#[must_use]
pub fn table() -> Vec<Case<CaseShape>> {
    let dims = [vec![2048, 2048], vec![64, 32_000]];
    case::of_table(dims.map(|dims| CaseShape { dims }), &[DType::F32])
}
