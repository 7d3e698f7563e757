use super::candidates::{Candidate, Candidates};
use super::*;

fn draws(sampling: Sampling, logits: &[f32], n: usize) -> Vec<u32> {
    let mut sampler = Sampler::new(sampling);
    (0..n)
        .map(|_| sampler.next(logits.to_vec(), &[]).unwrap())
        .collect()
}

fn warm() -> Sampling {
    Sampling {
        temperature: 1.0,
        seed: 7,
        ..Sampling::default()
    }
}

#[test]
fn temperature_zero_takes_the_first_of_the_largest() {
    assert_eq!(draws(Sampling::default(), &[0.0, 3.0, 3.0], 2), [1, 1]);
}

/// A model that is broken in one place must not go on with what is left.
#[test]
fn a_logit_that_is_no_number_gives_no_token() {
    for sampling in [Sampling::default(), warm()] {
        let next = |logits: &[f32]| Sampler::new(sampling).next(logits.to_vec(), &[]);
        for wrong in [f32::NAN, -f32::NAN, f32::INFINITY] {
            assert_eq!(next(&[1.0, wrong, 2.0]), None, "{sampling:?} {wrong}");
        }
        assert_eq!(next(&[f32::NEG_INFINITY; 3]), None);
        assert_eq!(
            next(&[f32::NEG_INFINITY, -1.0]),
            Some(1),
            "a token that cannot come"
        );
        assert_eq!(next(&[]), None);
    }
}

/// Probabilities against softmax((l - max) / t) in float64.
#[test]
fn probabilities_hold_at_every_temperature() {
    let logits = [f32::MAX, 4.5, 4.0, 1e-30, -2.0, f32::MIN];
    for n in [0, 1] {
        let logits = &logits[n..logits.len() - n];
        for temperature in [1e-45, 1e-30, 1e-3, 0.7, 1.0, 1e30, f32::MAX] {
            let sampler = Sampler::new(Sampling {
                temperature,
                ..warm()
            });
            let candidate = |(id, &logit)| Candidate::new(id, logit);
            let all = (0..).zip(logits).map(candidate).collect();
            let mut candidates = Candidates::new(all);
            candidates.filter(&sampler.sampling);
            let t = f64::from(temperature);
            let highest = f64::from(logits[0]);
            let weights = logits.iter().map(|&l| ((f64::from(l) - highest) / t).exp());
            let weights: Vec<f64> = weights.collect();
            let total: f64 = weights.iter().sum();
            for (i, weight) in weights.into_iter().enumerate() {
                let candidate = candidates.get(i).unwrap();
                let (got, right) = (f64::from(candidate.weight), weight / total);
                assert!((got - right).abs() < 1e-6, "{temperature}: {got} {right}");
            }
            let token = Sampler::new(sampler.sampling).next(logits.to_vec(), &[]);
            assert!(token.is_some(), "{temperature}");
            if temperature < 1e-2 {
                assert_eq!(token, Some(0), "{temperature}");
            }
        }
    }
}

#[test]
fn extreme_filters_leave_the_most_likely_token() {
    let logits = [0.4f32.ln(), 0.6f32.ln()];
    let lone = |sampling| {
        draws(sampling, &logits, 200)
            .into_iter()
            .all(|token| token == 1)
    };
    assert!(lone(Sampling {
        top_p: 1e-45,
        ..warm()
    }));
    assert!(lone(Sampling {
        top_p: 0.0,
        ..warm()
    }));
    assert!(lone(Sampling {
        min_p: 1.0,
        ..warm()
    }));
    assert!(lone(Sampling {
        min_p: 2.0,
        ..warm()
    }));
    assert!(lone(Sampling {
        min_p: f32::MAX,
        ..warm()
    }));
    assert!(lone(Sampling { top_k: 1, ..warm() }));
    let all = Sampling {
        top_k: usize::MAX,
        ..warm()
    };
    assert_eq!(draws(all, &logits, 200), draws(warm(), &logits, 200));
}

/// Against `l / p` and `l * p` in float64.
#[test]
fn extreme_penalties_order_tokens_as_float64_does() {
    for penalty in [1e-38, 1e-3, 1e38, f32::MAX] {
        for seen in [-1e30, -3.0, 0.0, 3.0, 1e30] {
            let sampling = Sampling {
                repetition_penalty: penalty,
                ..Sampling::default()
            };
            let (p, l) = (f64::from(penalty), f64::from(seen));
            let right = u32::from(if l > 0.0 { l / p } else { l * p } < 1.0);
            for temperature in [0.0, 1e-45] {
                let sampling = Sampling {
                    temperature,
                    ..sampling
                };
                let next = Sampler::new(sampling).next(vec![seen, 1.0], &[0]);
                assert_eq!(next, Some(right), "{penalty} {seen}");
            }
        }
    }
    let never = Sampling {
        repetition_penalty: 1e-38,
        ..Sampling::default()
    };
    let next = Sampler::new(never).next(vec![f32::NEG_INFINITY, f32::MIN], &[0, 1]);
    assert_eq!(next, Some(1));
}

#[test]
fn draws_follow_the_probabilities() {
    let logits = [0.5f32.ln(), 0.3f32.ln(), 0.2f32.ln()];
    let drawn = draws(warm(), &logits, 20_000);
    for (id, p) in [(0, 0.5), (1, 0.3), (2, 0.2)] {
        let share = drawn.iter().filter(|&&d| d == id).count() as f64 / 20_000.0;
        // Five standard deviations.
        assert!(
            (share - p).abs() < 5.0 * (p * (1.0 - p) / 20_000.0).sqrt(),
            "{id}: {share}"
        );
    }
}

#[test]
fn filters_leave_only_their_tokens() {
    let logits = [0.4f32.ln(), 0.3f32.ln(), 0.2f32.ln(), 0.1f32.ln()];
    let highest = |sampling| draws(sampling, &logits, 2000).into_iter().max().unwrap();
    assert_eq!(highest(warm()), 3);
    assert_eq!(highest(Sampling { top_k: 2, ..warm() }), 1);
    assert_eq!(
        highest(Sampling {
            top_p: 0.75,
            ..warm()
        }),
        2
    );
    assert_eq!(
        highest(Sampling {
            top_p: 0.0,
            ..warm()
        }),
        0
    );
    assert_eq!(
        highest(Sampling {
            min_p: 0.6,
            ..warm()
        }),
        1
    );
}

#[test]
fn so_many_tokens_are_left_whatever_min_p() {
    let logits = [0.4f32.ln(), 0.3f32.ln(), 0.2f32.ln(), 0.1f32.ln()];
    for min_tokens_to_keep in 1..=4 {
        let sampling = Sampling {
            min_p: 0.99,
            min_tokens_to_keep,
            ..warm()
        };
        let highest = draws(sampling, &logits, 2000).into_iter().max();
        assert_eq!(highest, Some(min_tokens_to_keep as u32 - 1));
    }
}

/// Tokens that `apply_xtc` of mlx_lm/sample_utils.py masks, by hand: those more likely than the least likely over the
/// threshold, whatever the temperature.
#[test]
fn xtc_leaves_out_likely_tokens_but_the_last() {
    let logits = [0.1f32.ln(), 0.4f32.ln(), 0.3f32.ln(), 0.2f32.ln()];
    let drawn = |threshold, probability, spared: &[u32], temperature| {
        let sampling = Sampling {
            xtc_probability: probability,
            xtc_threshold: threshold,
            temperature,
            ..warm()
        };
        let mut sampler = Sampler::new(sampling).sparing(spared.to_vec());
        let tokens = (0..2000).map(|_| sampler.next(logits.to_vec(), &[]).unwrap());
        tokens.collect::<std::collections::BTreeSet<u32>>()
    };
    for temperature in [0.5, 1.0] {
        let left = |threshold| drawn(threshold, 1.0, &[], temperature);
        assert_eq!(left(0.15), [0, 3].into());
        assert_eq!(left(0.25), [0, 2, 3].into());
        assert_eq!(left(0.35), [0, 1, 2, 3].into(), "one likely token stays");
        assert_eq!(left(0.5), [0, 1, 2, 3].into());
        assert_eq!(left(0.0), [0].into());
        let spared = drawn(0.15, 1.0, &[1], temperature);
        assert_eq!(spared, [0, 1, 3].into());
        assert_eq!(drawn(0.15, 0.0, &[], temperature), [0, 1, 2, 3].into());
    }
}

#[test]
fn xtc_leaves_tokens_out_as_often_as_it_is_to() {
    let sampling = Sampling {
        xtc_probability: 0.25,
        ..warm()
    };
    let drawn = draws(sampling, &[0.5f32.ln(), 0.5f32.ln() - 1e-3], 20_000);
    let share = drawn.iter().filter(|&&token| token == 0).count() as f64 / 20_000.0;
    // Three quarters of an even draw; five standard deviations.
    assert!(
        (share - 0.375).abs() < 5.0 * (0.375f64 * 0.625 / 20_000.0).sqrt(),
        "{share}"
    );
}

#[test]
fn the_penalty_pushes_seen_tokens_down_whatever_their_sign() {
    let sampling = Sampling {
        repetition_penalty: 2.0,
        repetition_context: 2,
        ..Sampling::default()
    };
    let next =
        |logits: [f32; 2], history: &[u32]| Sampler::new(sampling).next(logits.to_vec(), history);
    assert_eq!(next([1.5, 1.0], &[0]), Some(1));
    assert_eq!(next([-1.0, -1.5], &[0]), Some(1));
    assert_eq!(
        next([1.5, 1.0], &[0, 1, 1]),
        Some(0),
        "token 0 is out of the context"
    );
}

#[test]
fn the_same_seed_draws_the_same() {
    let logits = [0.1, 0.2, 0.3, 0.4];
    assert_eq!(draws(warm(), &logits, 50), draws(warm(), &logits, 50));
    let other = Sampling { seed: 8, ..warm() };
    assert_ne!(draws(warm(), &logits, 50), draws(other, &logits, 50));
}
