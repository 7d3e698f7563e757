//! Means of the steps since the last report.

use super::Run;
use crate::process::peak_memory_bytes;
use crate::train::preference::PairSums;
use crate::train::{Event, Network, Report, Result, Summary};
use std::time::Duration;

/// Result of one optimizer step.
pub(super) struct Taken {
    pub(super) loss_sum: f64,
    /// Divisor of that sum.
    pub(super) weight: f64,
    pub(super) tokens: usize,
    pub(super) pairs: PairSums,
    pub(super) grad_norm: f64,
    pub(super) learning_rate: f64,
}

/// Sums since the last report.
#[derive(Default)]
pub(super) struct Since {
    loss_sum: f64,
    weight: f64,
    tokens: usize,
    pairs: PairSums,
    steps: usize,
    time: Duration,
}

impl<N: Network> Run<'_, '_, N> {
    /// Tells the means since the last report, if a step was taken since.
    pub(super) fn report(&mut self, taken: &Taken) -> Result<()> {
        let since = std::mem::take(&mut self.since);
        if since.steps == 0 {
            return Ok(());
        }
        let report = since.report(taken, &self.summary);
        (self.observe)(&Event::Report(report))
    }
}

impl Since {
    pub(super) fn add(&mut self, taken: &Taken, time: Duration) {
        self.loss_sum += taken.loss_sum;
        self.weight += taken.weight;
        self.tokens += taken.tokens;
        self.pairs = self.pairs.plus(&taken.pairs);
        self.steps += 1;
        self.time += time;
    }

    fn report(self, taken: &Taken, summary: &Summary) -> Report {
        let seconds = self.time.as_secs_f64();
        Report {
            step: summary.steps,
            train_loss: self.loss_sum / self.weight,
            learning_rate: taken.learning_rate,
            grad_norm: taken.grad_norm,
            gradient_noise_scale: summary.gradient_noise_scale,
            steps_per_sec: self.steps as f64 / seconds,
            tokens_per_sec: self.tokens as f64 / seconds,
            trained_tokens: summary.trained_tokens,
            peak_memory_bytes: peak_memory_bytes(),
            preference: self.pairs.means(),
        }
    }
}
