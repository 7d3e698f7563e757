use super::*;
use crate::data::{Batch, Example, Pair};
use crate::layout::Arrangement;

fn methods() -> Vec<Preference> {
    let dpo = |beta, label_smoothing, loss_type| {
        Preference::Dpo(Dpo {
            beta,
            label_smoothing,
            loss_type,
        })
    };
    vec![
        dpo(0.1, 0.0, DpoLoss::Sigmoid),
        dpo(0.7, 0.2, DpoLoss::Sigmoid),
        dpo(0.5, 0.3, DpoLoss::Robust),
        dpo(0.2, 0.0, DpoLoss::Hinge),
        dpo(0.1, 0.0, DpoLoss::Ipo),
        Preference::Orpo(Orpo { beta: 0.1 }),
        Preference::Orpo(Orpo { beta: 2.0 }),
    ]
}

fn scored(chosen: (f64, usize), rejected: (f64, usize)) -> ScoredPair {
    let [chosen, rejected] =
        [chosen, rejected].map(|(log_prob, tokens)| Completion { log_prob, tokens });
    ScoredPair { chosen, rejected }
}

/// Likely, unlikely and nearly certain completions, margins to both sides.
fn pairs() -> Vec<[ScoredPair; 2]> {
    vec![
        [scored((-3.0, 4), (-5.0, 2)), scored((-3.0, 4), (-5.0, 2))],
        [
            scored((-30.0, 7), (-28.0, 9)),
            scored((-33.0, 7), (-25.0, 9)),
        ],
        [
            scored((-0.01, 1), (-700.0, 90)),
            scored((-2.0, 1), (-300.0, 90)),
        ],
        [
            scored((-900.0, 70), (-1.0, 3)),
            scored((-100.0, 70), (-9.0, 3)),
        ],
    ]
}

#[test]
fn derivatives_are_those_of_finite_differences() {
    let h = 1e-5;
    for method in methods() {
        for [policy, reference] in pairs() {
            let slope = |change: fn(&mut ScoredPair, f64)| {
                let at = |distance| {
                    let mut moved = policy;
                    change(&mut moved, distance);
                    method.loss(&moved, &reference).loss
                };
                (at(h) - at(-h)) / (2.0 * h)
            };
            let got = method.loss(&policy, &reference);
            let chosen = slope(|pair, by| pair.chosen.log_prob += by);
            let rejected = slope(|pair, by| pair.rejected.log_prob += by);
            for (got, want) in [(got.dchosen, chosen), (got.drejected, rejected)] {
                let error = (got - want).abs();
                assert!(
                    error < 1e-6 * want.abs() + 1e-9,
                    "{method:?} {policy:?}: {got}, expected {want}"
                );
            }
        }
    }
}

#[test]
fn a_model_that_is_its_reference_has_the_loss_of_a_coin() {
    let [policy, reference] = pairs()[0];
    for (method, want) in methods()
        .into_iter()
        .zip([2f64.ln(), 2f64.ln(), 2f64.ln(), 1.0, 25.0])
    {
        let loss = method.loss(&policy, &reference).loss;
        assert!(
            (loss - want).abs() < 1e-12,
            "{method:?}: {loss}, expected {want}"
        );
    }
}

#[test]
fn losses_of_any_size_are_finite() {
    let huge = scored((-1e6, 3), (-1e-30, 5));
    for method in methods() {
        for (policy, reference) in [(huge, huge), (huge, pairs()[1][0]), (pairs()[1][0], huge)] {
            let PairLoss {
                loss,
                dchosen,
                drejected,
            } = method.loss(&policy, &reference);
            assert!(
                [loss, dchosen, drejected].iter().all(|x| x.is_finite()),
                "{method:?} {loss} {dchosen} {drejected}"
            );
        }
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let parameters = Parameters::new(vec![]);
    for (method, expected) in [
        (
            Preference::Orpo(Orpo { beta: 0.0 }),
            "beta must be more than 0, got 0",
        ),
        (
            Preference::Dpo(Dpo {
                label_smoothing: 0.5,
                ..Dpo::default()
            }),
            "label_smoothing must be 0 or more and less than 0.5, got 0.5",
        ),
        (
            Preference::Dpo(Dpo {
                label_smoothing: 0.1,
                loss_type: DpoLoss::Ipo,
                ..Dpo::default()
            }),
            "label_smoothing must be 0 with the losses hinge and ipo, got 0.1",
        ),
        (
            Preference::Dpo(Dpo::default()),
            "the model without its adapter",
        ),
    ] {
        let error = method.check(&parameters).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(Preference::Orpo(Orpo::default()).check(&parameters).is_ok());
}

fn examples() -> Vec<Example> {
    let example = |(line, n_prompt, chosen, rejected): (usize, usize, usize, usize)| Example {
        tokens: (0..(n_prompt + chosen) as u32).collect(),
        trained: (0..n_prompt + chosen).map(|i| i > 0).collect(),
        line,
        pair: Some(Pair {
            n_prompt,
            rejected: (0..(n_prompt + rejected) as u32).rev().collect(),
        }),
    };
    [(1, 3, 4, 2), (2, 1, 1, 7), (3, 6, 2, 2)]
        .map(example)
        .to_vec()
}

/// Losses that tell every place of a row from the others.
fn made_up(batch: &Batch) -> Vec<f32> {
    let loss = |(&input, &target): (&u32, &i64)| match target < 0 {
        true => 0.0,
        false => 0.3 + 0.1 * input as f32 + 0.01 * target as f32,
    };
    batch.inputs.iter().zip(&batch.targets).map(loss).collect()
}

#[test]
fn micro_batches_add_up_to_their_step() {
    let examples = examples();
    let rows: Vec<&Example> = examples.iter().collect();
    for method in methods() {
        for arrangement in [Arrangement::Padded, Arrangement::Packed] {
            let sums = |size: usize| {
                let batches: Vec<Batch> = rows
                    .chunks(size)
                    .map(|part| Batch::new(arrangement, part))
                    .collect();
                let pairs = StepPairs::new(method, &batches).unwrap();
                let outcomes = batches.iter().map(|batch| {
                    let losses = made_up(batch);
                    pairs.outcome(batch, &losses, Some(&vec![0.2; losses.len()]))
                });
                let mut sum = (0.0, PairSums::default());
                for outcome in outcomes {
                    sum = (sum.0 + outcome.loss_sum, sum.1.plus(&outcome.sums));
                }
                sum
            };
            let (whole, split) = (sums(3), sums(1));
            assert!(
                (whole.0 - split.0).abs() < 1e-12 * whole.0.abs(),
                "{method:?}"
            );
            let pairs = whole.1.to_array().into_iter().zip(split.1.to_array());
            assert!(
                pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-9),
                "{method:?}"
            );
            assert_eq!(
                (whole.1.count(), whole.1.nll_tokens > 0.0),
                (3, method.has_likelihood())
            );
        }
    }
}

#[test]
fn gradients_of_places_are_those_of_the_sum() {
    let examples = examples();
    let batch = Batch::new(Arrangement::Padded, &examples.iter().collect::<Vec<_>>());
    let losses = made_up(&batch);
    let reference = vec![0.25; losses.len()];
    for method in methods() {
        let pairs = StepPairs::new(method, std::slice::from_ref(&batch)).unwrap();
        let outcome = pairs.outcome(&batch, &losses, Some(&reference));
        for place in 0..losses.len() {
            let at = |by: f32| {
                let mut moved = losses.clone();
                moved[place] += by;
                pairs.outcome(&batch, &moved, Some(&reference)).loss_sum
            };
            let slope = (at(0.015_625) - at(-0.015_625)) / 0.031_25;
            let got = f64::from(outcome.dlosses[place]);
            assert!(
                (got - slope).abs() < 1e-3 * slope.abs() + 1e-4,
                "{method:?} {place}: {got}, expected {slope}"
            );
        }
    }
}

#[test]
fn rows_that_are_no_pairs_are_named() {
    let example = Example {
        tokens: vec![1, 2],
        trained: vec![false, true],
        line: 7,
        pair: None,
    };
    let batch = Batch::new(Arrangement::Padded, &[&example]);
    let error = StepPairs::new(methods()[0], &[batch])
        .unwrap_err()
        .to_string();
    assert!(error.contains("lines [7]"), "{error}");
}
