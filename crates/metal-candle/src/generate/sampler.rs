use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Choice of the next token; the filters apply in the order of the fields.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Logits of tokens seen in the last [`Self::repetition_context`] are divided by this where
    /// positive and multiplied where negative (Keskar et al. 2019, arXiv 1909.05858); 1 is off.
    /// What leaves the range of float32 becomes the largest number of its sign.
    pub repetition_penalty: f32,
    /// Number of tokens that the penalty looks back on.
    pub repetition_context: usize,
    /// 0 takes the most likely token; otherwise logits are divided by this. All filters leave at
    /// least that token.
    pub temperature: f32,
    /// Only the `top_k` most likely tokens; 0 is off.
    pub top_k: usize,
    /// The smallest set of tokens whose probability reaches this (Holtzman et al. 2019, arXiv
    /// 1904.09751); 1 is off.
    pub top_p: f32,
    /// Tokens at least this times as likely as the most likely one (Nguyen et al. 2024, arXiv
    /// 2407.01082); 0 is off.
    pub min_p: f32,
    /// Tokens that `min_p` leaves at least.
    pub min_tokens_to_keep: usize,
    /// Probability with which a choice leaves out all tokens more likely than [`Self::xtc_threshold`] but the least likely of
    /// them (XTC, "exclude top choices"); 0 is off. Probabilities are those of the tokens that are left, at temperature 1.
    pub xtc_probability: f32,
    /// Probability over which XTC takes a token for a likely one.
    pub xtc_threshold: f32,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            repetition_penalty: 1.0,
            repetition_context: 20,
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            min_tokens_to_keep: 1,
            xtc_probability: 0.0,
            xtc_threshold: 0.1,
            seed: 0,
        }
    }
}

/// Sampler of tokens; the same seed and logits give the same tokens.
#[derive(Clone, Debug)]
pub struct Sampler {
    sampling: Sampling,
    /// Tokens that XTC does not leave out.
    spared: Vec<u32>,
    generator: ChaCha8Rng,
}

/// A token that may be chosen.
#[derive(Clone, Copy)]
struct Candidate {
    id: u32,
    logit: f32,
    /// The logit, and after [`softmax`] a probability.
    weight: f32,
}

impl Candidate {
    fn new(id: u32, logit: f32) -> Self {
        let weight = logit;
        Self { id, logit, weight }
    }
}

impl Sampler {
    /// A sampler at the start of its seed.
    #[must_use]
    pub fn new(sampling: Sampling) -> Self {
        Self {
            generator: ChaCha8Rng::seed_from_u64(sampling.seed),
            spared: vec![],
            sampling,
        }
    }

    /// The sampler, whose XTC leaves out none of the tokens `spared`.
    #[must_use]
    pub fn sparing(mut self, spared: Vec<u32>) -> Self {
        self.spared = spared;
        self
    }

    /// Whether the next token is the most likely one, whatever came before.
    #[must_use]
    pub fn is_greedy(&self) -> bool {
        self.sampling.temperature <= 0.0 && self.sampling.repetition_penalty == 1.0
    }

    /// The token after `history`, from its logits; `None` when one is NaN or positive infinity, or
    /// when all are negative infinity, which stands for a token that cannot come.
    pub fn next(&mut self, mut logits: Vec<f32>, history: &[u32]) -> Option<u32> {
        // Not `all`, which would look at one logit after the other.
        if !logits
            .iter()
            .fold(true, |fine, &logit| fine & (logit < f32::INFINITY))
        {
            return None;
        }
        self.penalise(&mut logits, history);
        if self.sampling.temperature <= 0.0 {
            return most_likely(&logits);
        }
        let possible = (0..).zip(logits).filter(|(_, logit)| logit.is_finite());
        let mut candidates: Vec<Candidate> = possible
            .map(|(id, logit)| Candidate::new(id, logit))
            .collect();
        // Stable, so that equal logits keep the order of their ids.
        candidates.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        self.filter(&mut candidates);
        self.exclude(&mut candidates);
        self.draw(&candidates)
    }

    fn penalise(&self, logits: &mut [f32], history: &[u32]) {
        let Sampling {
            repetition_penalty: penalty,
            repetition_context: context,
            ..
        } = self.sampling;
        if penalty == 1.0 {
            return;
        }
        let mut seen = history[history.len().saturating_sub(context)..].to_vec();
        seen.sort_unstable();
        seen.dedup();
        for id in seen {
            if let Some(logit) = logits.get_mut(id as usize) {
                *logit = penalised(*logit, penalty);
            }
        }
    }

    /// Cuts the sorted candidates and turns their logits into probabilities.
    fn filter(&self, candidates: &mut Vec<Candidate>) {
        let Sampling {
            top_k,
            top_p,
            min_p,
            min_tokens_to_keep,
            ..
        } = self.sampling;
        if top_k > 0 {
            candidates.truncate(top_k);
        }
        softmax(candidates, self.sampling.temperature);
        if top_p < 1.0 {
            let mut before = 0.0;
            let inside = candidates.iter().take_while(|candidate| {
                let inside = before < top_p;
                before += candidate.weight;
                inside
            });
            candidates.truncate(inside.count().max(1));
        }
        let floor = min_p * candidates.first().map_or(0.0, |best| best.weight);
        let likely = candidates
            .iter()
            .take_while(|candidate| candidate.weight >= floor);
        candidates.truncate(likely.count().max(min_tokens_to_keep).max(1));
    }

    /// Leaves out likely tokens, as often as XTC is to.
    fn exclude(&mut self, candidates: &mut Vec<Candidate>) {
        let Sampling {
            xtc_probability: probability,
            xtc_threshold: threshold,
            ..
        } = self.sampling;
        if probability > 0.0 && self.generator.random::<f32>() < probability {
            let least = least_likely_over(threshold, candidates);
            let spared = &self.spared;
            candidates.retain(|candidate| {
                least.is_none_or(|least| candidate.logit <= least) || spared.contains(&candidate.id)
            });
        }
    }

    fn draw(&mut self, candidates: &[Candidate]) -> Option<u32> {
        let total: f32 = candidates.iter().map(|candidate| candidate.weight).sum();
        let mut left = self.generator.random::<f32>() * total;
        for candidate in candidates {
            left -= candidate.weight;
            if left < 0.0 {
                return Some(candidate.id);
            }
        }
        candidates.last().map(|candidate| candidate.id)
    }
}

/// Negative infinity stays what it is, a token that cannot come, and 0 under every penalty.
fn penalised(logit: f32, penalty: f32) -> f32 {
    let changed = if logit > 0.0 {
        logit / penalty
    } else {
        logit * penalty
    };
    match logit.is_finite() && logit != 0.0 {
        true => changed.clamp(f32::MIN, f32::MAX),
        false => logit,
    }
}

/// The first of the largest logits; `None` when no token can come.
fn most_likely(logits: &[f32]) -> Option<u32> {
    let possible = (0..).zip(logits).filter(|(_, logit)| logit.is_finite());
    let best: Option<(u32, &f32)> = possible.fold(None, |best, (id, logit)| match best {
        Some((_, highest)) if highest >= logit => best,
        _ => Some((id, logit)),
    });
    best.map(|(id, _)| id)
}

/// Probabilities of sorted logits. The highest is taken away before the division, so that a
/// temperature however small leaves it 0; in float64, since the difference of two logits may leave
/// the range of float32.
fn softmax(candidates: &mut [Candidate], temperature: f32) {
    let highest = f64::from(candidates.first().map_or(0.0, |best| best.weight));
    let temperature = f64::from(temperature);
    for candidate in candidates.iter_mut() {
        let below = (f64::from(candidate.weight) - highest) / temperature;
        candidate.weight = (below as f32).exp();
    }
    let total: f32 = candidates.iter().map(|candidate| candidate.weight).sum();
    for candidate in candidates.iter_mut() {
        candidate.weight /= total;
    }
}

/// Logit of the least likely of sorted candidates whose probability is over `threshold`.
fn least_likely_over(threshold: f32, candidates: &[Candidate]) -> Option<f32> {
    let highest = f64::from(candidates.first()?.logit);
    let odds = |candidate: &Candidate| (f64::from(candidate.logit) - highest).exp();
    let total: f64 = candidates.iter().map(odds).sum();
    let over = candidates
        .iter()
        .take_while(|candidate| odds(candidate) / total > f64::from(threshold));
    over.last().map(|candidate| candidate.logit)
}

#[cfg(test)]
mod tests {
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
                let mut candidates: Vec<_> = (0..).zip(logits).map(candidate).collect();
                sampler.filter(&mut candidates);
                let t = f64::from(temperature);
                let highest = f64::from(logits[0]);
                let weights = logits.iter().map(|&l| ((f64::from(l) - highest) / t).exp());
                let weights: Vec<f64> = weights.collect();
                let total: f64 = weights.iter().sum();
                for (candidate, weight) in candidates.iter().zip(weights) {
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
        let next = |logits: [f32; 2], history: &[u32]| {
            Sampler::new(sampling).next(logits.to_vec(), history)
        };
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
}
