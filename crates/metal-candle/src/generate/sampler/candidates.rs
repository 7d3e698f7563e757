//! Tokens that may be chosen, and the filters that leave fewer of them.

use super::Sampling;

/// A token that may be chosen.
#[derive(Clone, Copy)]
pub(super) struct Candidate {
    pub(super) id: u32,
    logit: f32,
    /// The logit, and after [`softmax`] a probability.
    pub(super) weight: f32,
}

impl Candidate {
    pub(super) fn new(id: u32, logit: f32) -> Self {
        let weight = logit;
        Self { id, logit, weight }
    }
}

/// Cuts the sorted candidates and turns their logits into probabilities.
pub(super) fn filter(sampling: &Sampling, candidates: &mut Vec<Candidate>) {
    let Sampling {
        top_k,
        top_p,
        min_p,
        min_tokens_to_keep,
        ..
    } = *sampling;
    if top_k > 0 {
        candidates.truncate(top_k);
    }
    softmax(candidates, sampling.temperature);
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

/// Leaves out the sorted candidates that are more likely than the least likely one over `threshold`, but for those `spared`.
pub(super) fn exclude(threshold: f32, spared: &[u32], candidates: &mut Vec<Candidate>) {
    if let Some(least) = least_likely_over(threshold, candidates) {
        candidates.retain(|candidate| candidate.logit <= least || spared.contains(&candidate.id));
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
