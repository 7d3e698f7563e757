//! Log probabilities of tokens.

/// Log probabilities of a token and of the most likely ones in its place: of the model's own distribution, before penalties,
/// temperature and filters.
#[derive(Clone, Debug, PartialEq)]
pub struct Logprobs {
    /// Log probability of the token that was chosen.
    pub chosen: f32,
    /// Ids and log probabilities of the most likely tokens, the most likely one first.
    pub top: Vec<(u32, f32)>,
}

impl Logprobs {
    /// `log softmax` of the logits `(V)` at `chosen` and at the `n_top` largest; the sum of `exp` is in float64.
    pub(super) fn of(logits: &[f32], chosen: u32, n_top: usize) -> Self {
        let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let odds = logits.iter().map(|&l| f64::from(l - highest).exp());
        let total = f64::from(highest) + odds.sum::<f64>().ln();
        let logprob = |logit: f32| (f64::from(logit) - total) as f32;
        let top = largest(logits, n_top).into_iter();
        Self {
            chosen: logprob(logits[chosen as usize]),
            top: top.map(|(id, logit)| (id, logprob(logit))).collect(),
        }
    }
}

/// The `n` largest of `logits` with their ids, the largest first; of equal ones the first come first.
fn largest(logits: &[f32], n: usize) -> Vec<(u32, f32)> {
    let mut found: Vec<(u32, f32)> = vec![];
    for (id, &logit) in (0..).zip(logits) {
        let is_full = found.len() == n;
        if is_full && found.last().is_none_or(|(_, least)| *least >= logit) {
            continue;
        }
        let place = found.partition_point(|(_, other)| *other >= logit);
        found.insert(place, (id, logit));
        found.truncate(n);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against `l - ln sum exp(l)` in float64, added up in another way.
    #[test]
    fn log_probabilities_are_those_of_float64() {
        let logits = [0.5f32, -3.0, 80.0, 79.5, f32::NEG_INFINITY, 80.0, 1e-3];
        let sum: f64 = logits.iter().map(|&l| f64::from(l).exp()).sum();
        let right = |id: usize| f64::from(logits[id]) - sum.ln();
        for chosen in [0, 1, 2, 3, 5, 6] {
            let got = Logprobs::of(&logits, chosen as u32, 3);
            assert!(
                (f64::from(got.chosen) - right(chosen)).abs() < 1e-5,
                "{got:?}"
            );
            let ids: Vec<u32> = got.top.iter().map(|(id, _)| *id).collect();
            assert_eq!(ids, [2, 5, 3]);
            for (id, logprob) in got.top {
                assert!((f64::from(logprob) - right(id as usize)).abs() < 1e-5);
            }
        }
        let all = Logprobs::of(&logits, 0, 20).top;
        let total: f64 = all.iter().map(|(_, l)| f64::from(*l).exp()).sum();
        assert!((total - 1.0).abs() < 1e-6, "{total}");
        assert_eq!(Logprobs::of(&logits, 0, 0).top, []);
    }
}
