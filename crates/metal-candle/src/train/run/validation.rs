//! Validation losses.

use super::Run;
use crate::process::peak_memory_bytes;
use crate::train::{Best, Error, Event, Network, Result, Validation};
use std::time::Instant;

impl<N: Network> Run<'_, '_, N> {
    /// Takes the validation loss after a step into account.
    pub(super) fn see(&mut self, val_loss: Option<f64>) {
        let Some(val_loss) = val_loss else {
            return;
        };
        let (step, options) = (self.summary.steps, self.trainer.options);
        let threshold = options.early_stopping.map_or(0.0, |rule| rule.threshold);
        self.watch.see(Best { step, val_loss }, threshold);
        self.summary.last_val_loss = Some(val_loss);
        self.summary.best = self.watch.best;
    }

    /// Validation loss, where there are rows for it.
    pub(super) fn validate(&mut self) -> Result<Option<f64>> {
        let Some(batches) = self.validation else {
            return Ok(None);
        };
        let (trainer, summary) = (self.trainer, &self.summary);
        let began = Instant::now();
        let limit = trainer.options.val_batches.unwrap_or(usize::MAX);
        let batches = batches().take(limit);
        let adapters = trainer.parameters.adapters();
        let objective = trainer.options.objective;
        let evaluation =
            objective.evaluate(trainer.network, adapters, batches, self.should_stop)?;
        let seconds = began.elapsed().as_secs_f64();
        if !evaluation.loss().is_finite() {
            return Err(Error::Validation {
                step: summary.steps,
            });
        }
        (self.observe)(&Event::Validation(Validation {
            step: summary.steps,
            val_loss: evaluation.loss(),
            learning_rate: trainer.options.schedule.learning_rate(summary.steps.max(1)),
            tokens_per_sec: evaluation.tokens as f64 / seconds,
            trained_tokens: summary.trained_tokens,
            peak_memory_bytes: peak_memory_bytes(),
            seconds,
            preference: evaluation.preference(),
            evaluation,
        }))?;
        Ok(Some(evaluation.loss()))
    }
}
