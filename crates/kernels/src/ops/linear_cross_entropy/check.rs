//! The formula over f64, and what the loss is checked on.

use super::chunked::Chunked;
use super::{Head, cases, cases::CaseShape, loss};
use crate::IGNORED_TARGET;
use crate::case::Case;
use crate::graph::Kernel;
use crate::testkit::{Array, Failure, Input, Problem, check_cases};
use crate::weight::packing::{Packing, dense_of, weight_of};
use candle_core::{DType, Device, Tensor};

/// Checks all cases on `device`, but those of packings without kernels there.
///
/// # Errors
/// The first failure.
pub fn check(device: &Device) -> Result<(), Failure> {
    let mut cases = cases::small();
    let has_kernels = |packing: Packing| packing.has_kernels(device);
    cases.retain(|case| case.shape.packing.is_none_or(has_kernels));
    check_cases(&cases, problem, device)?;
    check_cases(&cases, problem_by_row, device)?;
    // Logits of hundreds, targets with a probability of zero and of one; whole numbers, so that
    // the logits are exact.
    check_cases(
        &cases,
        |case| of(case, |x| (20.0 * x).round(), false),
        device,
    )
}

/// The problem of a case.
#[must_use]
pub fn problem(case: &Case<CaseShape>) -> Problem {
    of(case, |x| x, false)
}

/// The problem of a case, with the loss of every row.
#[must_use]
pub fn problem_by_row(case: &Case<CaseShape>) -> Problem {
    of(case, |x| x, true)
}

fn of(case: &Case<CaseShape>, size: fn(f64) -> f64, by_row: bool) -> Problem {
    let CaseShape {
        rows,
        width,
        vocabulary,
        packing,
        softcap,
        ..
    } = case.shape;
    let weight = Input::new("weight", &[vocabulary, width]).map(size);
    let weight = match packing {
        None => weight,
        Some(_) => weight.constant(),
    };
    let hidden = Input::new("hidden", &[rows, width]).map(size);
    let inputs = vec![hidden.viewed(case.view), weight.viewed(case.view)];
    let targets = case.shape.targets();
    let own_targets = targets.clone();
    let truth = move |x: &[Array]| {
        let weight = dense_of(&x[1], packing);
        let losses = losses(&x[0], &weight, &own_targets, softcap);
        match by_row {
            true => losses,
            false => sum(&losses),
        }
    };
    let problem = Problem::new(inputs, truth).giving(DType::F32);
    let whole = usize::MAX;
    let implementations = [
        ("linear_cross_entropy", whole, false),
        (
            "linear_cross_entropy, as many logits as of a row at a time",
            1,
            false,
        ),
        (
            "linear_cross_entropy, as many logits as of three rows at a time",
            3,
            false,
        ),
        ("reference", whole, true),
        ("reference, three rows at a time", 3, true),
    ];
    let add = |problem: Problem, (name, chunk_rows, by_reference): (_, usize, bool)| {
        let targets = targets.clone();
        problem.run(name, move |x| {
            let targets = Tensor::new(&targets[..], x[0].device())?;
            let weight = weight_of(&x[1], packing)?;
            let elements = chunk_rows.saturating_mul(vocabulary);
            let head = Head::new(&x[0], &weight, &targets, softcap, elements)?;
            let head = if by_row { head.by_row() } else { head };
            match (weight.tensor().filter(|w| w.track_op()), by_reference) {
                (Some(w), false) => loss(head, [&x[0], w]),
                (None, false) => loss(head, [&x[0]]),
                (Some(w), true) => Chunked::run(head, [&x[0], w]).map(|[loss]| loss),
                (None, true) => Chunked::run(head, [&x[0]]).map(|[loss]| loss),
            }
        })
    };
    implementations.into_iter().fold(problem, add)
}

/// Losses of the rows, zero where there is no target.
fn losses(hidden: &Array, weight: &Array, targets: &[i64], softcap: Option<f64>) -> Array {
    let bounded = |x: f64| softcap.map_or(x, |cap| cap * (x / cap).tanh());
    let loss = |(h, &target): (&[f64], &i64)| {
        if target == IGNORED_TARGET {
            return 0.0;
        }
        let dot = |w: &[f64]| h.iter().zip(w).map(|(h, w)| h * w).sum::<f64>();
        let logits: Vec<f64> = weight.rows().map(dot).map(bounded).collect();
        let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logits.iter().map(|x| (x - max).exp()).sum();
        max + sum.ln() - logits[target as usize]
    };
    Array {
        dims: vec![targets.len()],
        data: hidden.rows().zip(targets).map(loss).collect(),
    }
}

fn sum(losses: &Array) -> Array {
    Array {
        dims: vec![],
        data: vec![losses.data.iter().sum()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{linear_cross_entropy, linear_cross_entropy_rows, testkit};

    #[test]
    fn on_the_cpu() {
        check(&Device::Cpu).unwrap();
    }

    #[test]
    fn many_rows_on_many_threads() {
        let shape = CaseShape {
            rows: 40,
            width: 9,
            vocabulary: 2003,
            trained_every: 1,
            packing: None,
            softcap: None,
        };
        let problem = problem(&crate::case::plain(shape));
        testkit::agree(&problem, DType::F32, &Device::Cpu).unwrap();
    }

    /// Bounded logits of more rows than one pass takes.
    const BOUNDED: CaseShape = CaseShape {
        rows: 2100,
        width: 3,
        vocabulary: 1500,
        trained_every: 2,
        packing: None,
        softcap: Some(1.5),
    };

    #[test]
    fn bounded_logits_in_several_parts_and_passes() {
        let problem = problem(&crate::case::plain(BOUNDED));
        testkit::agree(&problem, DType::F32, &Device::Cpu).unwrap();
    }

    #[test]
    fn a_weight_of_several_panels() {
        let shape = CaseShape {
            rows: 3,
            width: 500,
            vocabulary: 600,
            trained_every: 1,
            packing: None,
            softcap: None,
        };
        let problem = problem(&crate::case::plain(shape));
        testkit::agree(&problem, DType::BF16, &Device::Cpu).unwrap();
    }

    #[test]
    fn losses_of_rows_in_several_passes() {
        let problem = problem_by_row(&crate::case::plain(BOUNDED));
        testkit::agree(&problem, DType::F32, &Device::Cpu).unwrap();
    }

    #[test]
    fn rows_without_a_target_have_no_loss() {
        let hidden = Tensor::ones((3, 2), DType::F32, &Device::Cpu).unwrap();
        let weight = Tensor::ones((3, 2), DType::F32, &Device::Cpu).unwrap();
        let losses = |targets: [i64; 3]| {
            let targets = Tensor::new(&targets, &Device::Cpu).unwrap();
            let losses =
                linear_cross_entropy_rows(&hidden, &weight.clone().into(), &targets, None).unwrap();
            losses.to_vec1::<f32>().unwrap()
        };
        let [some, none] = [[0, IGNORED_TARGET, 2], [IGNORED_TARGET; 3]].map(losses);
        assert_eq!((some[1], &none[..]), (0.0, &[0.0; 3][..]));
        for loss in [some[0], some[2]] {
            assert!((loss - 3f32.ln()).abs() < 1e-6, "{loss}");
        }
    }

    fn loss_of(targets: &[i64]) -> crate::Result<Tensor> {
        let hidden = Tensor::ones((targets.len(), 2), DType::F32, &Device::Cpu)?;
        let weight = Tensor::ones((3, 2), DType::F32, &Device::Cpu)?;
        linear_cross_entropy(
            &hidden,
            &weight.into(),
            &Tensor::new(targets, &Device::Cpu)?,
            None,
        )
    }

    #[test]
    fn equal_logits_cost_the_logarithm_of_their_number() {
        let loss = loss_of(&[0, IGNORED_TARGET, 2]).unwrap();
        let loss = loss.to_scalar::<f32>().unwrap();
        assert!((loss - 2.0 * 3f32.ln()).abs() < 1e-6);
    }

    #[test]
    fn a_target_outside_the_vocabulary_is_refused() {
        for target in [3, -1, i64::MAX] {
            let error = loss_of(&[0, target]).unwrap_err().to_string();
            let got = format!("got {target} in row 1");
            assert!(error.ends_with(&got), "{error}");
        }
    }
}
