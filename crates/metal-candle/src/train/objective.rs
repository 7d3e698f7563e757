use super::preference::{self, Preference, StepPairs};
use super::step::{StepResult, interruptible};
use super::{Error, Evaluation, Network, Parameters, Result, evaluate};
use crate::data::Batch;
use crate::lora::{AdapterSet, Mode};
use std::sync::Arc;

/// Loss that a run makes small.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Objective {
    /// Negative log-likelihood of the trained tokens: supervised fine-tuning.
    #[default]
    Likelihood,
    /// Loss of pairs of completions of which one is preferred.
    Preference(Preference),
}

impl Objective {
    /// Method of learning from pairs; `None` where rows are no pairs.
    #[must_use]
    pub fn preference(&self) -> Option<&Preference> {
        match self {
            Self::Likelihood => None,
            Self::Preference(method) => Some(method),
        }
    }

    /// Losses of all `batches` with `adapters`, without dropout.
    ///
    /// # Errors
    /// As [`evaluate()`]; when rows are pairs where they should be none, or none where they should be.
    pub fn evaluate(
        &self,
        network: &impl Network,
        adapters: Option<Arc<AdapterSet>>,
        batches: impl IntoIterator<Item = Batch>,
        should_stop: &dyn Fn() -> bool,
    ) -> Result<Evaluation> {
        let Self::Preference(method) = self else {
            return evaluate(network, adapters, batches, should_stop);
        };
        // What a pair's loss is divided by is known when all were seen.
        let batches: Vec<Batch> = batches.into_iter().collect();
        let pairs = StepPairs::new(*method, &batches)?;
        preference::evaluate(network, adapters, &pairs, &batches, should_stop)
    }

    /// Loss and gradients of `batch` as the only one of a step. Both are sums: the step's are theirs over
    /// [`StepResult::count`].
    ///
    /// # Errors
    /// As [`step`](super::step::step); when rows are pairs where they should be none, or none where they should be.
    pub fn step(
        &self,
        network: &impl Network,
        parameters: &Parameters,
        batch: &Batch,
        (mode, recompute): (Mode, bool),
    ) -> Result<StepResult> {
        self.check(parameters)?;
        let pairs = self.of_step(std::slice::from_ref(batch))?;
        let how = (mode, recompute, pairs.as_ref());
        interruptible(network, parameters, batch, how, &|| false)
    }

    pub(super) fn check(&self, parameters: &Parameters) -> Result<()> {
        match self {
            Self::Likelihood => Ok(()),
            Self::Preference(method) => method.check(parameters),
        }
    }

    /// Pairs of a step of these micro-batches; `None` where rows are no pairs.
    pub(super) fn of_step(&self, batches: &[Batch]) -> Result<Option<StepPairs>> {
        let with_pairs = batches.iter().find(|batch| !batch.pairs.is_empty());
        match (self, with_pairs) {
            (Self::Preference(method), _) => Ok(Some(StepPairs::new(*method, batches)?)),
            (Self::Likelihood, None) => Ok(None),
            (Self::Likelihood, Some(batch)) => Err(Error::pairs(batch)),
        }
    }
}
