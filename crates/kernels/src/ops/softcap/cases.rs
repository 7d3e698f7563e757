//! Shapes of the bound.

use crate::case::{self, Case};

/// Sizes and the bound.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Any shape.
    pub dims: Vec<usize>,
    /// The bound.
    pub cap: f64,
}

/// One element, one row, one column, primes; bounds below and above the numbers.
#[must_use]
pub fn small() -> Vec<Case<Shape>> {
    let dims: [&[usize]; 4] = [&[], &[1, 17], &[13, 1], &[2, 3, 33]];
    let shape = |cap| {
        dims.map(|dims| Shape {
            dims: dims.into(),
            cap,
        })
    };
    case::small([0.7, 30.0].into_iter().flat_map(shape))
}
