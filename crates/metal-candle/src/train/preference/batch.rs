//! Losses of a micro-batch of pairs, from the losses of its places.

use super::metrics::PairSums;
use super::pair::{Completion, ScoredPair};
use super::{Error, Preference, Result};
use crate::data::{Batch, IGNORED, PairPlaces};
use std::ops::Range;

/// Pairs of a step, or of an evaluation, and how they are learnt.
#[derive(Clone, Copy, Debug)]
pub(in crate::train) struct StepPairs {
    pub(super) method: Preference,
    /// Pairs over tokens of the negative log-likelihood: its factor in a sum over pairs.
    nll_factor: f64,
}

/// Losses of the pairs of a micro-batch.
#[derive(Debug)]
pub(in crate::train) struct PairOutcome {
    /// Sum over the pairs.
    pub(in crate::train) loss_sum: f64,
    pub(in crate::train) sums: PairSums,
    /// Derivative of that sum by the loss of each place.
    pub(super) dlosses: Vec<f32>,
}

impl StepPairs {
    /// Pairs of all micro-batches of a step.
    ///
    /// # Errors
    /// When a row is no pair.
    pub(in crate::train) fn new(method: Preference, batches: &[Batch]) -> Result<Self> {
        if let Some(batch) = batches.iter().find(|b| b.pairs.len() != b.lines.len()) {
            let lines = batch.lines.clone();
            return Err(Error::NoPairs { lines });
        }
        let pairs: usize = batches.iter().map(|batch| batch.pairs.len()).sum();
        let tokens = batches.iter().flat_map(|batch| {
            let of = move |pair: &PairPlaces| trained(batch, &pair.preferred).count();
            batch.pairs.iter().map(of)
        });
        let tokens: usize = tokens.sum();
        let nll_factor = match method.has_likelihood() {
            true => pairs as f64 / tokens.max(1) as f64,
            false => 0.0,
        };
        Ok(Self { method, nll_factor })
    }

    /// Losses of the pairs of `batch` from the losses of its places, the policy's and, where there is one, the
    /// reference's.
    pub(super) fn outcome(
        &self,
        batch: &Batch,
        policy: &[f32],
        reference: Option<&[f32]>,
    ) -> PairOutcome {
        let mut outcome = PairOutcome {
            loss_sum: 0.0,
            sums: PairSums::default(),
            dlosses: vec![0.0; policy.len()],
        };
        for pair in &batch.pairs {
            let scored = scored(pair, policy);
            let reference = reference.map(|losses| self::scored(pair, losses));
            self.add(pair, &scored, &reference.unwrap_or_default(), &mut outcome);
            if self.nll_factor > 0.0 {
                self.add_likelihood(batch, pair, policy, &mut outcome);
            }
        }
        outcome
    }

    fn add(
        &self,
        pair: &PairPlaces,
        policy: &ScoredPair,
        reference: &ScoredPair,
        outcome: &mut PairOutcome,
    ) {
        let loss = self.method.loss(policy, reference);
        outcome.loss_sum += loss.loss;
        // A log probability is the negative sum of losses.
        for (places, slope) in [
            (&pair.chosen, -loss.dchosen),
            (&pair.rejected, -loss.drejected),
        ] {
            outcome.dlosses[places.clone()].fill(slope as f32);
        }
        let rewards = self.method.rewards(policy, reference);
        outcome.sums = outcome.sums.plus(&PairSums {
            pairs: 1.0,
            rewards,
            accurate: f64::from(u8::from(rewards[0] > rewards[1])),
            log_probs: self.method.log_probs(policy),
            ..PairSums::default()
        });
    }

    fn add_likelihood(
        &self,
        batch: &Batch,
        pair: &PairPlaces,
        losses: &[f32],
        outcome: &mut PairOutcome,
    ) {
        for place in trained(batch, &pair.preferred) {
            let loss = f64::from(losses[place]);
            outcome.loss_sum += self.nll_factor * loss;
            outcome.dlosses[place] += self.nll_factor as f32;
            outcome.sums.nll += loss;
            outcome.sums.nll_tokens += 1.0;
        }
    }
}

/// Places that have a target.
fn trained<'a>(batch: &'a Batch, places: &Range<usize>) -> impl Iterator<Item = usize> + use<'a> {
    places
        .clone()
        .filter(|&place| batch.targets[place] != IGNORED)
}

fn scored(pair: &PairPlaces, losses: &[f32]) -> ScoredPair {
    let completion = |places: &Range<usize>| Completion {
        log_prob: -losses[places.clone()]
            .iter()
            .copied()
            .map(f64::from)
            .sum::<f64>(),
        tokens: places.len(),
    };
    ScoredPair {
        chosen: completion(&pair.chosen),
        rejected: completion(&pair.rejected),
    }
}
