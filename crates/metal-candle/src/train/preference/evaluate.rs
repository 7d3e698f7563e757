use super::Result;
use super::batch::{PairOutcome, StepPairs};
use crate::data::Batch;
use crate::device::round;
use crate::lora::{AdapterSet, Context};
use crate::train::Network;
use crate::train::evaluate::{Evaluation, losses};
use std::sync::Arc;

/// Losses of all pairs of `batches` with `adapters`, without dropout.
pub(in crate::train) fn evaluate(
    network: &impl Network,
    adapters: Option<Arc<AdapterSet>>,
    pairs: &StepPairs,
    batches: &[Batch],
    should_stop: &dyn Fn() -> bool,
) -> Result<Evaluation> {
    let context = Context::inference(adapters);
    let mut sum = Evaluation::default();
    for batch in batches {
        let outcome: PairOutcome = round(|| {
            let reference = pairs.reference(network, batch, should_stop)?;
            let policy = losses(network, &context, batch, should_stop)?;
            Ok::<_, crate::train::Error>(pairs.outcome(batch, &policy, reference.as_deref()))
        })?;
        sum.loss_sum += outcome.loss_sum;
        sum.tokens += batch.trained_tokens;
        sum.pairs = sum.pairs.plus(&outcome.sums);
    }
    Ok(sum)
}

impl StepPairs {
    /// Losses of the places of `batch` under the model without its adapter; `None` where the method has no reference.
    pub(in crate::train) fn reference(
        &self,
        network: &impl Network,
        batch: &Batch,
        should_stop: &dyn Fn() -> bool,
    ) -> Result<Option<Vec<f32>>> {
        let base = Context::inference(None);
        let needed = self.method.has_reference();
        needed
            .then(|| losses(network, &base, batch, should_stop))
            .transpose()
    }
}
