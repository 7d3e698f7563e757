//! Learning from pairs of completions of which one is preferred. A method is one file: a loss of the log probabilities
//! of both completions, with its derivatives.
//!
//! What a method sees of a model are two numbers a pair. They are sums of the losses of places, which the output head
//! gives without ever holding all logits ([`linear_cross_entropy_rows`](metal_candle_kernels::linear_cross_entropy_rows));
//! losses and derivatives are computed from them in float64 on the host, and every place's gradient is its completion's.
//!
//! A step's loss is the mean over its pairs, and of a negative log-likelihood beside it (ORPO) over its tokens, whatever
//! the micro-batches: both numbers are known before the first of them.

mod batch;
mod dpo;
mod evaluate;
mod head;
mod metrics;
mod orpo;
mod pair;
#[cfg(test)]
mod tests;

pub use dpo::{Dpo, DpoLoss};
pub use metrics::PairMetrics;
pub use orpo::Orpo;
pub use pair::{Completion, PairLoss, ScoredPair};

pub(super) use batch::{PairOutcome, StepPairs};
pub(super) use evaluate::evaluate;
pub(super) use head::head;
pub(super) use metrics::{N_SUMS, PairSums};

use super::{Error, Parameters, Result};

/// Method of learning from pairs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Preference {
    /// Direct preference optimization.
    Dpo(Dpo),
    /// Odds ratio preference optimization.
    Orpo(Orpo),
}

impl Preference {
    /// Name of the method, as `run.json` has it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Dpo(_) => "dpo",
            Self::Orpo(_) => "orpo",
        }
    }

    /// Factor of log ratios or odds.
    #[must_use]
    pub fn beta(&self) -> f64 {
        match self {
            Self::Dpo(dpo) => dpo.beta,
            Self::Orpo(orpo) => orpo.beta,
        }
    }

    /// Whether the negative log-likelihood of the preferred sequence is part of the loss.
    #[must_use]
    pub fn has_likelihood(&self) -> bool {
        matches!(self, Self::Orpo(_))
    }

    /// Whether the log probabilities of the model without its adapter are needed.
    #[must_use]
    pub fn has_reference(&self) -> bool {
        matches!(self, Self::Dpo(_))
    }

    /// Loss of a pair under the policy. `reference` is the pair under the model without its adapter, or, where none is
    /// needed, anything.
    #[must_use]
    pub fn loss(&self, policy: &ScoredPair, reference: &ScoredPair) -> PairLoss {
        match self {
            Self::Dpo(dpo) => dpo.loss(policy, reference),
            Self::Orpo(orpo) => orpo.loss(policy),
        }
    }

    /// Rewards of the better and the worse completion, as TRL reports them.
    #[must_use]
    pub fn rewards(&self, policy: &ScoredPair, reference: &ScoredPair) -> [f64; 2] {
        match self {
            Self::Dpo(dpo) => dpo.rewards(policy, reference),
            Self::Orpo(orpo) => orpo.rewards(policy),
        }
    }

    /// Log probabilities of the better and the worse completion, as TRL reports them: sums, or for ORPO means.
    fn log_probs(&self, policy: &ScoredPair) -> [f64; 2] {
        let completions = [&policy.chosen, &policy.rejected];
        completions.map(|completion| match self {
            Self::Dpo(_) => completion.log_prob,
            Self::Orpo(_) => completion.mean(),
        })
    }

    /// Refuses settings out of range.
    ///
    /// # Errors
    /// With the setting.
    pub fn check_settings(&self) -> Result<()> {
        match self {
            Self::Dpo(dpo) => dpo.check(),
            Self::Orpo(orpo) => orpo.check(),
        }
    }

    /// Refuses settings out of range, and a reference that is not there.
    pub(super) fn check(&self, parameters: &Parameters) -> Result<()> {
        self.check_settings()?;
        match self.has_reference() && parameters.adapters().is_none() {
            true => Err(Error::NoReference),
            false => Ok(()),
        }
    }
}
