//! The formula over f64, and what softmax is checked on.

use super::{cases, cases::CaseShape, reference, softmax};
use crate::case::Case;
use crate::testkit::{Array, Failure, Input, Problem, check_all_cases, check_cases};
use candle_core::Device;

/// Checks all cases on `device`.
///
/// # Errors
/// The first failure.
pub fn check(device: &Device) -> Result<(), Failure> {
    let cases = cases::small();
    check_cases(&cases, problem, device)?;
    check_all_cases(&cases::in_fours(), problem, device)?;
    check_cases(&cases, |case| of(x(case).map(|x| 1e4 * x)), device)?;
    check_cases(&cases, |case| of(masked(case)), device)
}

/// The problem of a case.
#[must_use]
pub fn problem(case: &Case<CaseShape>) -> Problem {
    of(x(case).map(|x| 4.0 * x))
}

fn x(case: &Case<CaseShape>) -> Input {
    Input::new("x", &case.shape.dims).viewed(case.view)
}

/// About a tenth is hidden, never the first of a row.
fn masked(case: &Case<CaseShape>) -> Input {
    let width = case.shape.dims.last().copied().unwrap_or(1);
    let mut element = 0;
    x(case).map(|x| {
        let first = element % width == 0;
        element += 1;
        if x > 0.8 && !first {
            f64::NEG_INFINITY
        } else {
            x
        }
    })
}

fn of(x: Input) -> Problem {
    Problem::new(vec![x], |x| truth(&x[0]))
        .run("softmax", |x| softmax(&x[0]))
        .run("reference", |x| reference::forward(&x[0]))
}

fn truth(x: &Array) -> Array {
    let mut data = vec![];
    for row in x.rows() {
        let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = row.iter().map(|x| (x - max).exp()).sum();
        data.extend(row.iter().map(|x| (x - max).exp() / sum));
    }
    Array {
        dims: x.dims.clone(),
        data,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::View;
    use crate::testkit;
    use candle_core::{DType, Tensor};
    use proptest::prelude::*;

    #[test]
    fn on_the_cpu() {
        check(&Device::Cpu).unwrap();
    }

    #[test]
    fn a_row_that_is_hidden_whole_is_nan() {
        let x = Tensor::full(f32::NEG_INFINITY, (2, 3), &Device::Cpu).unwrap();
        for y in [softmax(&x).unwrap(), reference::forward(&x).unwrap()] {
            let y = y.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert!(y.iter().all(|y| y.is_nan()));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn on_any_shape(
            dims in prop::collection::vec(1..9usize, 1..4),
            view in prop::sample::select(&View::ALL[..]),
        ) {
            let x = Input::new("x", &dims).viewed(view);
            testkit::check(&of(x), DType::F32, &Device::Cpu).unwrap();
        }
    }
}
