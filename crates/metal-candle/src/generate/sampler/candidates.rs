//! Tokens that may be chosen, and the filters that leave fewer of them.

#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use super::Sampling;

/// Candidates that are sorted at first.
const FEW: usize = 64;

/// A token that may be chosen.
#[derive(Clone, Copy)]
pub(super) struct Candidate {
    pub(super) id: u32,
    logit: f32,
    /// The logit, and after [`Candidates::filter`] a probability.
    pub(super) weight: f32,
}

impl Candidate {
    pub(super) fn new(id: u32, logit: f32) -> Self {
        let weight = logit;
        Self { id, logit, weight }
    }

    /// The more likely first; equal logits keep the order of their ids.
    fn order(&self, other: &Self) -> Ordering {
        let likelier = other.logit.total_cmp(&self.logit);
        likelier.then(self.id.cmp(&other.id))
    }
}

/// Candidates, the most likely first. They are sorted as far as they are looked at: of a vocabulary a few count.
pub(super) struct Candidates {
    all: Vec<Candidate>,
    n_sorted: usize,
}

impl Candidates {
    pub(super) fn new(all: Vec<Candidate>) -> Self {
        let n_sorted = 0;
        Self { all, n_sorted }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// The candidate at place `i`.
    pub(super) fn get(&mut self, i: usize) -> Option<Candidate> {
        if i < self.len() && i >= self.n_sorted {
            self.sort(i + 1);
        }
        self.all.get(i).copied()
    }

    /// Sorts the first `n`, and as many more as it takes not to begin again for each.
    fn sort(&mut self, n: usize) {
        let end = n.max(2 * self.n_sorted).max(FEW).min(self.len());
        let rest = &mut self.all[self.n_sorted..];
        let n_new = end - self.n_sorted;
        if n_new < rest.len() {
            rest.select_nth_unstable_by(n_new, Candidate::order);
        }
        rest[..n_new].sort_unstable_by(Candidate::order);
        self.n_sorted = end;
    }

    /// Number of the first candidates for which `is_in` holds.
    fn count_while(&mut self, mut is_in: impl FnMut(Candidate) -> bool) -> usize {
        let mut n = 0;
        while self.get(n).is_some_and(&mut is_in) {
            n += 1;
        }
        n
    }

    /// Leaves the first `n`.
    fn truncate(&mut self, n: usize) {
        if n < self.len() {
            self.get(n);
            self.all.truncate(n);
            self.n_sorted = self.n_sorted.min(n);
        }
    }

    /// Leaves what the filters of `sampling` do, and turns logits into probabilities.
    pub(super) fn filter(&mut self, sampling: &Sampling) {
        if sampling.top_k > 0 {
            self.truncate(sampling.top_k);
        }
        self.softmax(sampling.temperature);
        if sampling.top_p < 1.0 {
            let mut before = 0.0;
            let n_inside = self.count_while(|candidate| {
                let is_inside = before < sampling.top_p;
                before += candidate.weight;
                is_inside
            });
            self.truncate(n_inside.max(1));
        }
        if sampling.min_p > 0.0 {
            let floor = sampling.min_p * self.get(0).map_or(0.0, |best| best.weight);
            let n_likely = self.count_while(|candidate| candidate.weight >= floor);
            self.truncate(n_likely.max(sampling.min_tokens_to_keep).max(1));
        }
    }

    /// Probabilities of logits. The highest is taken away before the division, so that a temperature however small leaves
    /// it 0; in float64, since the difference of two logits may leave the range of float32.
    fn softmax(&mut self, temperature: f32) {
        let highest = f64::from(self.get(0).map_or(0.0, |best| best.logit));
        let temperature = f64::from(temperature);
        for candidate in &mut self.all {
            let below = (f64::from(candidate.logit) - highest) / temperature;
            candidate.weight = (below as f32).exp();
        }
        let total = self.total() as f32;
        for candidate in &mut self.all {
            candidate.weight /= total;
        }
    }

    /// Sum of the weights; in float64, since their order is not that of their size.
    pub(super) fn total(&self) -> f64 {
        let weights = self.all.iter().map(|candidate| candidate.weight);
        weights.map(f64::from).sum()
    }

    /// Leaves out the candidates that are more likely than the least likely one over `threshold`, but for those `spared`.
    pub(super) fn exclude(&mut self, threshold: f32, spared: &[u32]) {
        let Some(least) = self.least_likely_over(threshold) else {
            return;
        };
        let is_kept =
            |candidate: &Candidate| candidate.logit <= least || spared.contains(&candidate.id);
        self.all.retain(is_kept);
        self.n_sorted = 0;
    }

    /// Logit of the least likely candidate whose probability is over `threshold`.
    fn least_likely_over(&mut self, threshold: f32) -> Option<f32> {
        let highest = f64::from(self.get(0)?.logit);
        let odds = |candidate: &Candidate| (f64::from(candidate.logit) - highest).exp();
        let total: f64 = self.all.iter().map(odds).sum();
        let n_over = self.count_while(|candidate| odds(&candidate) / total > f64::from(threshold));
        let last = n_over.checked_sub(1)?;
        self.get(last).map(|candidate| candidate.logit)
    }
}
