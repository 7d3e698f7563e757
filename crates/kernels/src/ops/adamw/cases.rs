//! Sizes of parameters.

use crate::case::{self, Case, Cost, Costed, View};
use candle_core::DType;

/// Sizes of one parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseShape {
    /// Any shape.
    pub dims: Vec<usize>,
}

impl Costed for CaseShape {
    /// Reads parameter, gradient and both moments, writes all but the gradient.
    fn forward(&self, dtype: DType) -> Cost {
        let n: usize = self.dims.iter().product();
        Cost::new(15 * n, 7 * n, dtype)
    }

    /// A step has no gradient.
    fn backward(&self, _: DType) -> Cost {
        Cost::default()
    }
}

/// One element, primes, both sides of a vector register's width, and enough for several threads;
/// float32 only.
#[must_use]
pub fn small() -> Vec<Case<CaseShape>> {
    let dims: [&[usize]; 7] = [&[], &[1], &[7], &[15, 1], &[3, 16], &[31, 37], &[281, 271]];
    let cases = case::small(dims.map(|dims| CaseShape { dims: dims.into() }));
    let defined = |c: &Case<CaseShape>| c.dtype == DType::F32 && c.view == View::Contiguous;
    cases.into_iter().filter(defined).collect()
}

/// The matrices of adapters of rank 16, and one frozen-size matrix.
#[must_use]
pub fn models() -> Vec<Case<CaseShape>> {
    case::of_models(|model| {
        let sizes = [
            [16, model.hidden],
            [model.intermediate, 16],
            [model.intermediate, model.hidden],
        ];
        sizes.map(|dims| CaseShape { dims: dims.into() }).to_vec()
    })
}

/// Ten million parameters in forty matrices, the first dimension.
#[must_use]
pub fn table() -> Vec<Case<CaseShape>> {
    let dims = vec![40, 250, 1000];
    case::of_table([CaseShape { dims }], &[DType::F32])
}
