//! Shapes of the gate.

use super::Activation;
use crate::case::{self, Case, Cost, Costed, TRAINED_TOKENS};
use candle_core::DType;

/// Sizes of both inputs, and the activation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseShape {
    /// Any shape.
    pub dims: Vec<usize>,
    /// Activation of the gate.
    pub activation: Activation,
}

impl CaseShape {
    /// Operations beyond those of SiLU: the polynomial in the exponent, and its derivative.
    fn extra(&self) -> (usize, usize) {
        match self.activation {
            Activation::Silu => (0, 0),
            Activation::GeluTanh => (4, 8),
        }
    }
}

impl Costed for CaseShape {
    /// An exponential, a sum, a division and two products.
    fn forward(&self, dtype: DType) -> Cost {
        let n: usize = self.dims.iter().product();
        Cost::new((5 + self.extra().0) * n, 3 * n, dtype)
    }

    /// Both gradients from one sigmoid; reads both inputs and `dy`.
    fn backward(&self, dtype: DType) -> Cost {
        let n: usize = self.dims.iter().product();
        Cost::new((10 + self.extra().1) * n, 5 * n, dtype)
    }
}

/// One element, one row, one column, primes, both sides of a vector register's width, and enough
/// elements for several threads, of every activation.
#[must_use]
pub fn small() -> Vec<Case<CaseShape>> {
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
    let shapes = |activation| dims.map(|dims| shape(dims, activation));
    let mut cases = case::small(Activation::ALL.into_iter().flat_map(shapes));
    cases.extend(Activation::ALL.map(|activation| case::plain(shape(&[71, 1031], activation))));
    cases
}

/// Whole numbers of fours, even and odd, of every activation.
#[must_use]
pub fn in_fours() -> Vec<Case<CaseShape>> {
    let shapes = |activation| [shape(&[3, 16], activation), shape(&[5, 44], activation)];
    case::contiguous(Activation::ALL.into_iter().flat_map(shapes))
}

/// The feed-forward layer of one token and of a training row.
#[must_use]
pub fn models() -> Vec<Case<CaseShape>> {
    case::of_models(|model| {
        let rows = [1, TRAINED_TOKENS].into_iter();
        rows.map(|n| shape(&[n, model.intermediate], Activation::Silu))
            .collect()
    })
}

/// The feed-forward layer of a training row of a small model.
#[must_use]
pub fn table() -> Vec<Case<CaseShape>> {
    let shape = shape(&[TRAINED_TOKENS, 4864], Activation::Silu);
    case::of_table([shape], &[DType::F32])
}

fn shape(dims: &[usize], activation: Activation) -> CaseShape {
    CaseShape {
        dims: dims.into(),
        activation,
    }
}
