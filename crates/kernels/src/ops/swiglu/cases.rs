//! Shapes of the gate.

use crate::case::{self, Case, Cost, Costed, TRAINED_TOKENS};
use candle_core::DType;

/// Sizes of both inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Any shape.
    pub dims: Vec<usize>,
}

impl Costed for Shape {
    /// An exponential, a sum, a division and two products.
    fn forward(&self, dtype: DType) -> Cost {
        let n: usize = self.dims.iter().product();
        Cost::new(5 * n, 3 * n, dtype)
    }

    /// Both gradients from one sigmoid; reads both inputs and `dy`.
    fn backward(&self, dtype: DType) -> Cost {
        let n: usize = self.dims.iter().product();
        Cost::new(10 * n, 5 * n, dtype)
    }
}

/// One element, one row, one column, primes, both sides of a vector register's width, and enough
/// elements for several threads.
#[must_use]
pub fn small() -> Vec<Case<Shape>> {
    let dims: [&[usize]; 8] = [
        &[],
        &[1],
        &[1, 17],
        &[13, 1],
        &[5, 15],
        &[3, 16],
        &[2, 3, 33],
        &[31, 37],
    ];
    let mut cases = case::small(dims.map(|dims| Shape { dims: dims.into() }));
    cases.push(case::plain(Shape {
        dims: vec![71, 1031],
    }));
    cases
}

/// The feed-forward layer of one token and of a training row.
#[must_use]
pub fn models() -> Vec<Case<Shape>> {
    case::of_models(|model| {
        let rows = [1, TRAINED_TOKENS].into_iter();
        rows.map(|n| Shape {
            dims: vec![n, model.intermediate],
        })
        .collect()
    })
}

/// The feed-forward layer of a training row of a small model.
#[must_use]
pub fn table() -> Vec<Case<Shape>> {
    let dims = vec![TRAINED_TOKENS, 4864];
    case::of_table([Shape { dims }], &[DType::F32])
}
