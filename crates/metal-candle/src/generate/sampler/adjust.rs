//! Logits as they are changed before anything is chosen.

use super::Sampling;
use std::collections::BTreeMap;

/// Adds what is asked for, then penalises tokens of `history`, in mlx-lm's order (`make_logits_processors`).
pub(super) fn adjust(
    sampling: &Sampling,
    bias: &[(u32, f32)],
    logits: &mut [f32],
    history: &[u32],
) {
    for &(id, bias) in bias {
        change(logits, id, |logit| logit + bias);
    }
    let penalty = sampling.repetition_penalty;
    if penalty != 1.0 {
        for id in seen(history, sampling.repetition_context).into_keys() {
            change(logits, id, |logit| match logit > 0.0 {
                true => logit / penalty,
                false => logit * penalty,
            });
        }
    }
    if sampling.presence_penalty != 0.0 {
        for id in seen(history, sampling.presence_context).into_keys() {
            change(logits, id, |logit| logit - sampling.presence_penalty);
        }
    }
    if sampling.frequency_penalty != 0.0 {
        for (id, n) in seen(history, sampling.frequency_context) {
            change(logits, id, |logit| {
                logit - n as f32 * sampling.frequency_penalty
            });
        }
    }
}

/// Tokens among the last `context`, with how often each is there.
fn seen(history: &[u32], context: usize) -> BTreeMap<u32, usize> {
    let mut seen = BTreeMap::new();
    for &id in &history[history.len().saturating_sub(context)..] {
        *seen.entry(id).or_default() += 1;
    }
    seen
}

/// Negative infinity stays what it is, a token that cannot come; what leaves the range of float32 becomes the largest
/// number of its sign.
fn change(logits: &mut [f32], id: u32, change: impl Fn(f32) -> f32) {
    if let Some(logit) = logits.get_mut(id as usize)
        && logit.is_finite()
    {
        *logit = change(*logit).clamp(f32::MIN, f32::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    #[serde(default)]
    struct Case {
        logit_bias: Vec<(u32, f32)>,
        repetition_penalty: f32,
        repetition_context_size: usize,
        presence_penalty: f32,
        presence_context_size: usize,
        frequency_penalty: f32,
        frequency_context_size: usize,
        history: Vec<u32>,
        logits: Vec<f32>,
        adjusted: Vec<f32>,
    }

    impl Default for Case {
        fn default() -> Self {
            Self {
                logit_bias: vec![],
                repetition_penalty: 1.0,
                repetition_context_size: 20,
                presence_penalty: 0.0,
                presence_context_size: 20,
                frequency_penalty: 0.0,
                frequency_context_size: 20,
                history: vec![],
                logits: vec![],
                adjusted: vec![],
            }
        }
    }

    impl Case {
        fn sampling(&self) -> Sampling {
            Sampling {
                repetition_penalty: self.repetition_penalty,
                repetition_context: self.repetition_context_size,
                presence_penalty: self.presence_penalty,
                presence_context: self.presence_context_size,
                frequency_penalty: self.frequency_penalty,
                frequency_context: self.frequency_context_size,
                ..Sampling::default()
            }
        }
    }

    /// `make_logits_processors` of mlx-lm, by `scripts/golden/mlx_sampling.py`.
    #[test]
    fn logits_are_changed_as_mlx_lm_does() {
        let text = include_str!("../../../tests/golden/sampling.json");
        let cases: Vec<Case> = serde_json::from_str(text).unwrap();
        assert_eq!(cases.len(), 8);
        for (i, case) in cases.iter().enumerate() {
            let mut logits = case.logits.clone();
            adjust(
                &case.sampling(),
                &case.logit_bias,
                &mut logits,
                &case.history,
            );
            assert_ne!(logits, case.logits, "case {i}");
            for (got, right) in logits.iter().zip(&case.adjusted) {
                assert!(
                    (got - right).abs() <= 1e-5 * right.abs().max(1.0),
                    "case {i}: {got} {right}"
                );
            }
        }
    }

    #[test]
    fn a_token_that_cannot_come_stays_so_and_numbers_stay_finite() {
        let sampling = Sampling {
            presence_penalty: -3e38,
            ..Sampling::default()
        };
        let mut logits = vec![f32::NEG_INFINITY, 3e38, 1.0];
        adjust(
            &sampling,
            &[(0, 5.0), (2, -3e38), (9, 1.0)],
            &mut logits,
            &[0, 1],
        );
        assert_eq!(logits, [f32::NEG_INFINITY, f32::MAX, 1.0 - 3e38]);
    }
}
