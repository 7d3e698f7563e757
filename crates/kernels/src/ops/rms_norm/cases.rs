//! Shapes of the norm.

use crate::case::{self, Case, Cost, Costed, TRAINED_TOKENS};
use candle_core::DType;

/// Sizes of `x`; the weight has the last of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseShape {
    /// `(.., D)`.
    pub dims: Vec<usize>,
}

impl CaseShape {
    /// Size of a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.dims.last().copied().unwrap_or(1)
    }

    fn elements(&self) -> usize {
        self.dims.iter().product()
    }
}

impl Costed for CaseShape {
    /// Square, sum and two factors.
    fn forward(&self, dtype: DType) -> Cost {
        let n = self.elements();
        Cost::new(4 * n, 2 * n + self.width(), dtype)
    }

    /// The gradients of `x` and of the weight; reads `x`, `dy` and the weight.
    fn backward(&self, dtype: DType) -> Cost {
        let n = self.elements();
        Cost::new(9 * n, 3 * n + 2 * self.width(), dtype)
    }
}

/// One row, one column, primes, both sides of a vector register's width, more rows than one block
/// of the weight's gradient, and enough elements for several threads.
#[must_use]
pub fn small() -> Vec<Case<CaseShape>> {
    let dims: [&[usize]; 9] = [
        &[7],
        &[1, 1],
        &[1, 17],
        &[13, 1],
        &[5, 15],
        &[3, 16],
        &[2, 3, 33],
        &[31, 37],
        &[67, 5],
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

/// Rows before which two dimensions are that do not lie in order.
#[must_use]
pub fn in_two_dimensions() -> Vec<Case<CaseShape>> {
    let dims = vec![2, 3, 5, 8];
    case::transposed([CaseShape { dims }])
}

/// Hidden states, and the heads of a model that normalises queries.
#[must_use]
pub fn models() -> Vec<Case<CaseShape>> {
    case::of_models(|model| {
        let rows = [1, TRAINED_TOKENS];
        let mut shapes = rows.map(|n| shape(n, model.hidden)).to_vec();
        shapes.push(shape(TRAINED_TOKENS * model.heads, model.head_width));
        shapes
    })
}

/// Many rows, and long ones.
#[must_use]
pub fn table() -> Vec<Case<CaseShape>> {
    case::of_table([shape(2048, 2048), shape(64, 32_000)], &[DType::F32])
}

fn shape(rows: usize, width: usize) -> CaseShape {
    CaseShape {
        dims: vec![rows, width],
    }
}
