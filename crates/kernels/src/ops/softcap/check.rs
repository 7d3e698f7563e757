//! The formula over f64, and what the bound is checked on.

use super::{cases, cases::CaseShape, softcap};
use crate::case::Case;
use crate::testkit::{Array, Failure, Input, Problem, check_cases};
use candle_core::Device;

/// Checks all cases on `device`.
///
/// # Errors
/// The first failure.
pub fn check(device: &Device) -> Result<(), Failure> {
    let cases = cases::small();
    check_cases(&cases, problem, device)?;
    check_cases(&cases, |case| of(case, 300.0), device)
}

/// The problem of a case.
#[must_use]
pub fn problem(case: &Case<CaseShape>) -> Problem {
    of(case, 2.0)
}

fn of(case: &Case<CaseShape>, size: f64) -> Problem {
    let x = Input::new("x", &case.shape.dims).map(|x| size * x);
    let cap = case.shape.cap;
    let truth = move |x: &[Array]| Array::from_fn(&x[0].dims, |i| cap * (x[0].at(i) / cap).tanh());
    Problem::new(vec![x.viewed(case.view)], truth).run("softcap", move |x| softcap(&x[0], cap))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Tensor};

    #[test]
    fn on_the_cpu() {
        check(&Device::Cpu).unwrap();
    }

    #[test]
    fn a_bound_that_cannot_be_divided_by_is_refused() {
        let x = Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap();
        for cap in [0.0, -30.0, f64::NAN, f64::INFINITY, 1e-60, 1e60] {
            let error = softcap(&x, cap).unwrap_err().to_string();
            let expected = "softcap: softcap must be a positive number of float32, got ";
            assert_eq!(error, format!("{expected}{cap}"));
        }
    }
}
