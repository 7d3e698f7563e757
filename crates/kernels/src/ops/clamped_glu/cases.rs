//! Shapes of the gate.

use crate::case::{self, Case};

/// Sizes and the bound.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseShape {
    /// Any shape.
    pub dims: Vec<usize>,
    /// The bound.
    pub limit: f64,
}

/// One element, one row, one column, primes; bounds below and above the numbers.
#[must_use]
pub fn small() -> Vec<Case<CaseShape>> {
    let dims: [&[usize]; 4] = [&[1], &[1, 17], &[13, 1], &[2, 3, 33]];
    let shape = |limit| {
        dims.map(|dims| CaseShape {
            dims: dims.into(),
            limit,
        })
    };
    case::small([0.75, 7.0].into_iter().flat_map(shape))
}
