use super::{Evaluation, PairMetrics};
use serde::Serialize;
use std::path::PathBuf;

/// Event of a run while it goes on.
#[derive(Clone, Debug)]
pub enum Event {
    /// A step was taken; its loss in nats per token.
    Step {
        /// Counted from 1.
        step: usize,
        /// Mean over the tokens of the step.
        loss: f64,
    },
    /// The mean of the steps since the last report.
    Report(Report),
    /// An evaluation.
    Validation(Validation),
    /// Parameters were written.
    Saved {
        /// After this step.
        step: usize,
        /// The folder.
        folder: PathBuf,
    },
}

/// The means of some steps.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The last step, counted from 1.
    pub step: usize,
    /// Nats per trained token, or the loss per pair.
    pub train_loss: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Global norm of the gradient before clipping, at the last step.
    pub grad_norm: f64,
    /// Rows of which the mean gradient has as much noise as signal, the simple noise scale of McCandlish et al. 2018 (arXiv
    /// 1812.06162), smoothed over the steps so far; a pair is a row. `None` where steps have one micro-batch, or do not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gradient_noise_scale: Option<f64>,
    /// Steps per second.
    #[serde(rename = "iterations_per_sec")]
    pub steps_per_sec: f64,
    /// Trained tokens per second.
    pub tokens_per_sec: f64,
    /// Trained tokens since the run began.
    pub trained_tokens: usize,
    /// Most memory the process has held; `None` where the system does not tell.
    pub peak_memory_bytes: Option<u64>,
    /// Means over pairs, where rows are pairs.
    #[serde(flatten)]
    pub preference: Option<PairMetrics>,
}

/// An evaluation during a run.
#[derive(Clone, Debug, Serialize)]
pub struct Validation {
    /// After this step; 0 is before training.
    pub step: usize,
    /// Nats per token, or the loss per pair.
    pub val_loss: f64,
    /// Learning rate of that step.
    pub learning_rate: f64,
    /// Evaluated tokens per second.
    pub tokens_per_sec: f64,
    /// Trained tokens since the run began.
    pub trained_tokens: usize,
    /// Most memory the process has held; `None` where the system does not tell.
    pub peak_memory_bytes: Option<u64>,
    /// Duration of the evaluation in seconds.
    pub seconds: f64,
    /// Means over pairs, where rows are pairs.
    #[serde(flatten)]
    pub preference: Option<PairMetrics>,
    /// Sum and count behind `val_loss`.
    #[serde(skip)]
    pub evaluation: Evaluation,
}
