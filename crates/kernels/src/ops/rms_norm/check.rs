//! The formula over f64, and what the norm is checked on.

use super::{cases, cases::CaseShape, reference, rms_norm, rms_norm_residual};
use crate::case::Case;
use crate::graph::elementwise;
use crate::testkit::{Array, Failure, Input, Problem, check_all_cases, check_cases};
use candle_core::{DType, Device};

/// Large enough that a zero row is smooth, small enough that it is not all there is.
const EPS: f64 = 1e-2;

/// Checks all cases on `device`.
///
/// # Errors
/// The first failure.
pub fn check(device: &Device) -> Result<(), Failure> {
    let cases = cases::small();
    check_cases(&cases, problem, device)?;
    check_all_cases(&cases::in_fours(), problem, device)?;
    check_all_cases(&cases::in_two_dimensions(), problem, device)?;
    // Squares of these are infinite in f16.
    let large = |case: &Case<CaseShape>| of(x(case).map(|x| 3e4 * x), weight(case));
    check_cases(&cases, large, device)?;
    let mixed = |case: &Case<CaseShape>| of(x(case), weight(case).in_dtype(Some(DType::F32)));
    check_cases(&cases, mixed, device)?;
    for used in [[true, true], [true, false], [false, true]] {
        check_cases(&cases, |case| with_residual(case, used), device)?;
        check_all_cases(&cases::in_fours(), |case| with_residual(case, used), device)?;
    }
    Ok(())
}

/// The problem of a case.
#[must_use]
pub fn problem(case: &Case<CaseShape>) -> Problem {
    of(x(case), weight(case))
}

fn x(case: &Case<CaseShape>) -> Input {
    Input::new("x", &case.shape.dims).viewed(case.view)
}

fn weight(case: &Case<CaseShape>) -> Input {
    Input::new("weight", &[case.shape.width()]).viewed(case.view)
}

fn of(x: Input, weight: Input) -> Problem {
    Problem::new(vec![x, weight], |x| truth(&x[0], &x[1]))
        .run("rms_norm", |x| rms_norm(&x[0], &x[1], EPS))
        .run("reference", |x| reference::forward(&x[0], &x[1], EPS))
}

/// The sum of those results that are used, so that each of them has a gradient.
fn with_residual(case: &Case<CaseShape>, used: [bool; 2]) -> Problem {
    let residual = Input::new("residual", &case.shape.dims).viewed(case.view);
    let inputs = vec![x(case), residual, weight(case)];
    let factors = used.map(f64::from);
    Problem::new(inputs, move |x| {
        let sum = Array::from_fn(&x[0].dims, |i| x[0].at(i) + x[1].at(i));
        let normed = truth(&sum, &x[2]);
        Array::from_fn(&sum.dims, |i| {
            factors[0] * sum.at(i) + factors[1] * normed.at(i)
        })
    })
    .run("rms_norm_residual", move |x| {
        let (sum, normed) = rms_norm_residual(&x[0], &x[1], &x[2], EPS)?;
        match used {
            [true, false] => Ok(sum),
            [false, true] => Ok(normed),
            _ => elementwise::add(&sum, &normed),
        }
    })
}

fn truth(x: &Array, weight: &Array) -> Array {
    let mut data = vec![];
    for row in x.rows() {
        let mean_square = row.iter().map(|x| x * x).sum::<f64>() / row.len() as f64;
        let root = (mean_square + EPS).sqrt();
        data.extend(row.iter().zip(&weight.data).map(|(x, w)| x / root * w));
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
    use candle_core::Tensor;
    use proptest::prelude::*;

    #[test]
    fn on_the_cpu() {
        check(&Device::Cpu).unwrap();
    }

    #[test]
    fn a_row_of_zeros_stays_zero() {
        let x = Tensor::zeros((1, 3), DType::F32, &Device::Cpu).unwrap();
        let weight = Tensor::ones(3, DType::F32, &Device::Cpu).unwrap();
        let y = rms_norm(&x, &weight, 1e-6).unwrap();
        assert_eq!(y.to_vec2::<f32>().unwrap(), [[0.0; 3]]);
    }

    #[test]
    fn a_residual_of_another_shape_is_refused() {
        let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
        let (x, residual, weight) = (zeros(&[2, 3]), zeros(&[1, 3]), zeros(&[3]));
        let error = rms_norm_residual(&x, &residual, &weight, 1e-6).unwrap_err();
        assert!(error.to_string().contains("residual"), "{error}");
    }

    #[test]
    fn a_weight_of_another_width_is_refused() {
        let x = Tensor::zeros((1, 3), DType::F32, &Device::Cpu).unwrap();
        let weight = Tensor::ones(4, DType::F32, &Device::Cpu).unwrap();
        let error = rms_norm(&x, &weight, 1e-6).unwrap_err().to_string();
        assert_eq!(error, "rms_norm: weight must have shape (3), got [4]");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn on_any_shape(
            dims in prop::collection::vec(1..9usize, 1..4),
            view in prop::sample::select(&View::ALL[..]),
        ) {
            let weight = Input::new("weight", &dims[dims.len() - 1..]);
            let x = Input::new("x", &dims).viewed(view);
            testkit::check(&of(x, weight), DType::F32, &Device::Cpu).unwrap();
        }
    }
}
