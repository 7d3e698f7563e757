//! The formula over f64, and what mixtures of experts are checked on.

use super::cases::{self, CaseShape};
use super::{Assignment, combine, dispatch};
use crate::case::Case;
use crate::testkit::{Array, Failure, Input, Problem, check_cases};
use candle_core::{Device, Tensor};

/// Checks all cases on `device`.
///
/// # Errors
/// The first failure.
pub fn check(device: &Device) -> Result<(), Failure> {
    check_cases(&cases::small(), problem, device)
}

/// The problem of a case: expert `e` multiplies its rows by `e + 1`.
#[must_use]
pub fn problem(case: &Case<CaseShape>) -> Problem {
    let CaseShape {
        tokens,
        chosen: k,
        width,
        ..
    } = case.shape;
    let inputs = vec![
        Input::new("x", &[tokens, width]).viewed(case.view),
        Input::new("weights", &[tokens, k]).viewed(case.view),
    ];
    let experts = case.shape.assigned();
    let truth = move |x: &[Array]| {
        Array::from_fn(&[tokens, width], |i| {
            let of = |j: usize| f64::from(experts[i[0] * k + j] + 1) * x[1].at(&[i[0], j]);
            (0..k).map(of).sum::<f64>() * x[0].at(i)
        })
    };
    let shape = case.shape.clone();
    Problem::new(inputs, truth).run("experts", move |x| through(&shape, &x[0], &x[1]))
}

fn through(shape: &CaseShape, x: &Tensor, weights: &Tensor) -> crate::Result<Tensor> {
    let assigned = shape.assigned();
    let all = Assignment::new(&assigned, shape.chosen, shape.experts, x.device())?;
    let rows = dispatch(x, &all)?;
    let results = all.used().zip(rows);
    let results = results.map(|((e, _), rows)| crate::tape::scale(&rows, (e + 1) as f64));
    combine(&results.collect::<crate::Result<Vec<_>>>()?, weights, &all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::DType;

    #[test]
    fn on_the_cpu() {
        check(&Device::Cpu).unwrap();
    }

    #[test]
    fn tokens_are_sorted_by_expert() {
        let all = Assignment::new(&[2, 0, 0, 3, 2, 3], 2, 5, &Device::Cpu).unwrap();
        let used: Vec<(usize, &[u32])> = all.used().collect();
        assert_eq!(used, [(0, &[0, 1][..]), (2, &[0, 2]), (3, &[1, 2])]);
    }

    #[test]
    fn what_is_no_assignment_is_refused() {
        let new = |chosen: &[u32], k| Assignment::new(chosen, k, 3, &Device::Cpu);
        let told = |chosen: &[u32], k| new(chosen, k).unwrap_err().to_string();
        let expected = "experts: experts must be 2 for each token, got 3";
        assert_eq!(told(&[0, 1, 2], 2), expected);
        assert_eq!(
            told(&[0, 3], 2),
            "experts: an expert must be below 3, got 3"
        );
        let all = new(&[0, 2], 1).unwrap();
        let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
        assert!(dispatch(&zeros(&[3, 4]), &all).is_err());
        let rows = [zeros(&[1, 4]), zeros(&[1, 4])];
        assert!(combine(&rows[..1], &zeros(&[2, 1]), &all).is_err());
        assert!(combine(&rows, &zeros(&[2, 2]), &all).is_err());
        assert!(combine(&rows, &zeros(&[2, 1]), &all).is_ok());
    }
}
