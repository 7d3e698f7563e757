use super::super::Sampler;
use super::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Logits of which many are equal.
fn steps(n: u32) -> Vec<f32> {
    let step = |i: u32| (i.wrapping_mul(2_654_435_761) >> 25) as f32 / 8.0;
    (0..n).map(step).collect()
}

#[test]
fn candidates_are_sorted_wherever_one_looks() {
    let logits = steps(1000);
    let mut sorted: Vec<(u32, f32)> = (0..).zip(logits.clone()).collect();
    // Stable.
    sorted.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    for place in [0, 1, 63, 64, 65, 500, 998, 999] {
        let all = (0..)
            .zip(&logits)
            .map(|(id, &logit)| Candidate::new(id, logit));
        let mut candidates = Candidates::new(all.collect());
        for i in (place..1000).chain(0..place) {
            assert_eq!(candidates.get(i).unwrap().id, sorted[i].0, "{place}, {i}");
        }
        assert!(candidates.get(1000).is_none());
    }
}

/// Every draw against the first of all candidates, sorted, whose sum of probabilities is beyond the number drawn.
#[test]
fn tokens_are_those_of_a_whole_sort() {
    let logits = steps(1000);
    for (top_k, top_p, min_p) in [
        (0, 1.0, 0.0),
        (200, 1.0, 0.0),
        (0, 0.9, 0.0),
        (0, 1.0, 1e-3),
        (300, 0.95, 1e-4),
    ] {
        let sampling = Sampling {
            top_k,
            top_p,
            min_p,
            temperature: 1.0,
            seed: 7,
            ..Sampling::default()
        };
        let mut generator = ChaCha8Rng::seed_from_u64(sampling.seed);
        let mut sampler = Sampler::new(sampling);
        for _ in 0..300 {
            let token = sampler.next(logits.clone(), &[]).unwrap();
            let drawn = generator.random::<f32>();
            assert_eq!(
                token,
                by_whole_sort(&logits, sampling, drawn),
                "{sampling:?}"
            );
        }
    }
}

fn by_whole_sort(logits: &[f32], sampling: Sampling, drawn: f32) -> u32 {
    let mut all: Vec<(u32, f64)> = (0..)
        .zip(logits.iter().map(|l| f64::from(*l).exp()))
        .collect();
    all.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    if sampling.top_k > 0 {
        all.truncate(sampling.top_k);
    }
    let sum = |all: &[(u32, f64)]| all.iter().map(|(_, p)| p).sum::<f64>();
    let total = sum(&all);
    let mut before = 0.0;
    all.retain(|(_, p)| {
        let is_inside = before / total < f64::from(sampling.top_p);
        before += p;
        is_inside
    });
    let floor = all[0].1 * f64::from(sampling.min_p);
    all.retain(|(_, p)| *p >= floor);
    let mut left = f64::from(drawn) * sum(&all);
    let found = all.iter().find(|(_, p)| {
        left -= p;
        left < 0.0
    });
    found.unwrap().0
}
