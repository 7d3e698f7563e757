//! The formula over f64, and what routers are checked on.

use super::cases::{self, CaseShape};
use super::{SoftmaxOver, routing};
use crate::case::Case;
use crate::testkit::{Array, Failure, Input, Problem, check_cases};
use candle_core::Device;

/// Checks all cases on `device`.
///
/// # Errors
/// The first failure.
pub fn check(device: &Device) -> Result<(), Failure> {
    check_cases(&cases::small(), problem, device)
}

/// The problem of a case.
#[must_use]
pub fn problem(case: &Case<CaseShape>) -> Problem {
    let CaseShape {
        tokens,
        experts,
        chosen: k,
        over,
    } = case.shape;
    // Far enough from each other that no rounding changes their order.
    let mut place = 0;
    let logits = Input::new("logits", &[tokens, experts]).map(|x| {
        place += 1;
        let step = (place * 7 % (2 * experts + 1)) as f64;
        0.25 * step + 0.02 * x
    });
    let truth = move |x: &[Array]| {
        let mut weights = vec![];
        for row in x[0].rows() {
            weights.extend(of_row(row, k, over));
        }
        Array::from_fn(&[tokens, k], |i| weights[i[0] * k + i[1]])
    };
    let problem = Problem::new(vec![logits.viewed(case.view)], truth);
    problem.run("routing", move |x| Ok(routing(&x[0], k, over)?.weights))
}

fn of_row(row: &[f64], k: usize, over: SoftmaxOver) -> Vec<f64> {
    let mut sorted = row.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let counted = match over {
        SoftmaxOver::All => &sorted[..],
        SoftmaxOver::Chosen => &sorted[..k],
    };
    let sum: f64 = counted.iter().map(|x| x.exp()).sum();
    sorted[..k].iter().map(|x| x.exp() / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Tensor;

    #[test]
    fn on_the_cpu() {
        check(&Device::Cpu).unwrap();
    }

    #[test]
    fn the_largest_are_chosen_and_the_first_of_equals() {
        let logits = [[0f32, 3.0, -1.0, 2.0], [5.0, 5.0, 7.0, 5.0]];
        let logits = Tensor::new(&logits, &Device::Cpu).unwrap();
        let chosen = routing(&logits, 2, SoftmaxOver::All).unwrap().chosen;
        assert_eq!(chosen, [1, 3, 2, 0]);
    }

    #[test]
    fn more_experts_than_there_are_are_refused() {
        let logits = Tensor::new(&[[0f32, 3.0]], &Device::Cpu).unwrap();
        for (k, got) in [(0, "0"), (3, "3")] {
            let error = routing(&logits, k, SoftmaxOver::All).unwrap_err();
            let expected = format!("routing: k must be from 1 to 2, got {got}");
            assert_eq!(error.to_string(), expected);
        }
    }
}
