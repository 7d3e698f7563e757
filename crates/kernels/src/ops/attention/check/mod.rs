//! The formula over f64, and what attention is checked on.

mod cached;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;

use super::{AttentionMask, AttentionScores, attention, cases, cases::CaseShape, reference};
use crate::Result;
use crate::case::Case;
use crate::testkit::{Array, Failure, Input, Problem, check_cases};
use candle_core::{DType, Device, Tensor};

const SCALE: f64 = 0.5;

/// Checks all cases on `device`.
///
/// # Errors
/// The first failure.
pub fn check(device: &Device) -> std::result::Result<(), Failure> {
    let cases = cases::small();
    check_cases(&cases, problem, device)?;
    if device.is_metal() {
        // Small scores, so that rounding leaves gradients something.
        check_cases(&cases::long(), |case| of(case, |x| x / 4.0), device)?;
    }
    // Scores of hundreds, where one key takes all; whole numbers, so that they are exact. Those of
    // wide heads are thousands: of such gradients rounding leaves nothing.
    let narrow = |case: &&Case<CaseShape>| case.shape.width <= 8;
    let cases: Vec<_> = cases.iter().filter(narrow).cloned().collect();
    let large = |case: &Case<CaseShape>| of(case, |x| (20.0 * x).round());
    check_cases(&cases, large, device)?;
    check_cases(&cached::cases(), cached::problem, device)
}

/// The problem of a case.
#[must_use]
pub fn problem(case: &Case<CaseShape>) -> Problem {
    of(case, |x| 2.0 * x)
}

fn of(case: &Case<CaseShape>, size: fn(f64) -> f64) -> Problem {
    let (q, k) = (case.shape.query_dims(), case.shape.key_dims());
    let mut inputs = vec![
        Input::new("q", &q).map(size).viewed(case.view),
        Input::new("k", &k).map(size).viewed(case.view),
        Input::new("v", &k).viewed(case.view),
    ];
    inputs.extend(sinks_of(&case.shape, size));
    let [shape, kernel, plain] = std::array::from_fn(|_| case.shape.clone());
    Problem::new(inputs, move |x| truth(x, &shape))
        .run("attention", move |x| run(attention, x, &kernel))
        .run("reference", move |x| run(reference::forward, x, &plain))
}

/// Sinks of the heads where a case has them, each about as much as all keys together.
fn sinks_of(shape: &CaseShape, size: fn(f64) -> f64) -> Option<Input> {
    // Whole, as large scores are.
    let of_all_keys = (shape.keys as f64).ln().round();
    let sinks = Input::new("sinks", &[shape.heads]).map(|x| size(x) + of_all_keys);
    let sinks = sinks.in_dtype(Some(DType::F32)).constant();
    shape.sinks.then_some(sinks)
}

type Forward<'a> =
    fn(&Tensor, &Tensor, &Tensor, &AttentionMask, AttentionScores<'a>) -> Result<Tensor>;

fn run<'a>(forward: Forward<'a>, x: &'a [Tensor], shape: &CaseShape) -> Result<Tensor> {
    let mask = AttentionMask {
        causal: shape.causal,
        window: shape.window,
        spans: (!shape.spans.is_empty()).then(|| shape.spans.clone().into()),
    };
    let scores = AttentionScores {
        scale: SCALE,
        softcap: shape.softcap,
        sinks: x.get(3),
    };
    forward(&x[0], &x[1], &x[2], &mask, scores)
}

fn truth(x: &[Array], shape: &CaseShape) -> Array {
    let (q, k, v) = (&x[0], &x[1], &x[2]);
    let group = shape.heads / shape.kv_heads;
    let width = shape.width;
    let mut probabilities = Vec::new();
    Array::from_fn(&shape.query_dims(), |index| {
        let &[b, h, i, d] = index else {
            return f64::NAN;
        };
        let g = h / group;
        if d == 0 {
            let score = |j| {
                let product = |d| q.at(&[b, h, i, d]) * k.at(&[b, g, j, d]);
                let score = SCALE * (0..width).map(product).sum::<f64>();
                match shape.sees(b, i, j) {
                    true => (shape.softcap).map_or(score, |cap| cap * (score / cap).tanh()),
                    false => f64::NEG_INFINITY,
                }
            };
            let sink = x.get(3).map_or(f64::NEG_INFINITY, |sinks| sinks.at(&[h]));
            probabilities = softmax(&(0..shape.keys).map(score).collect::<Vec<_>>(), sink);
        }
        let weighted = |(j, p): (usize, &f64)| p * v.at(&[b, g, j, d]);
        probabilities.iter().enumerate().map(weighted).sum()
    })
}

fn softmax(scores: &[f64], sink: f64) -> Vec<f64> {
    let max = scores.iter().copied().fold(sink, f64::max);
    // A query in no span sees nothing.
    if max == f64::NEG_INFINITY {
        return vec![0.0; scores.len()];
    }
    let sum: f64 = scores.iter().chain([&sink]).map(|s| (s - max).exp()).sum();
    scores.iter().map(|s| (s - max).exp() / sum).collect()
}
