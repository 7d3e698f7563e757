use crate::data::Batch;
use std::path::PathBuf;

/// Reason why a training run ends early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is outside its range.
    #[error("{what} must be {expected}, got {got}")]
    Setting {
        /// Name of the setting.
        what: &'static str,
        /// The accepted range.
        expected: &'static str,
        /// The value given.
        got: String,
    },
    /// A loss or gradient is NaN or infinite. The parameters are taken back to those that the last
    /// finite loss was computed with, and saved.
    #[error(
        "step {step}: the {what} is not finite; lines of the batch in {}: {lines:?}. \
         A lower learning rate, or clipping, may help",
        data.display()
    )]
    NotFinite {
        /// The step, counted from 1.
        step: usize,
        /// `loss`, or the gradient of a parameter.
        what: String,
        /// The data file.
        data: PathBuf,
        /// Lines of the rows that were in the batch.
        lines: Vec<usize>,
    },
    /// A parameter is not reached by the loss.
    #[error("no gradient reaches {}; they would never be trained", names.join(", "))]
    NoGradient {
        /// Names of the parameters.
        names: Vec<String>,
    },
    /// The reference of the loss is the model without its adapter, and there is none.
    #[error(
        "DPO compares the model with the one that it was before, which is the model without its adapter, and all weights are trained"
    )]
    NoReference,
    /// Preferences are learnt from pairs, and rows are none.
    #[error(
        "preferences are learnt from pairs of completions, and these rows are none: lines {lines:?}"
    )]
    NoPairs {
        /// Lines of the rows.
        lines: Vec<usize>,
    },
    /// Rows are pairs of completions, and both would be trained as if they were right.
    #[error("pairs of completions are no rows of supervised fine-tuning: lines {lines:?}")]
    Pairs {
        /// Lines of the rows.
        lines: Vec<usize>,
    },
    /// All weights were to be trained, and one is packed in few bits.
    #[error("{path} is quantized: its numbers cannot be trained")]
    Packed {
        /// Path of the matrix.
        path: String,
    },
    /// An updated parameter, or the optimizer's state of one, is NaN or infinite. The parameters are taken
    /// back to those before the update, and saved.
    #[error(
        "step {step}: the {what} is not finite after the update, which is not saved. \
         A lower learning rate or weight decay, or a larger eps, may help"
    )]
    Ruined {
        /// The step, counted from 1.
        step: usize,
        /// The parameter, or the moment of one.
        what: String,
    },
    /// The loss of an evaluation is NaN or infinite. The parameters are taken back to those before the last
    /// update, and saved.
    #[error(
        "step {step}: the validation loss is not finite. A lower learning rate, or clipping, may help"
    )]
    Validation {
        /// Steps taken before the evaluation.
        step: usize,
    },
    /// The folder holds what another run saved.
    #[error("{} holds an adapter or model that would be overwritten", folder.display())]
    Occupied {
        /// The folder.
        folder: PathBuf,
    },
    /// Another process is writing into the folder.
    #[error("another run is writing into {}", folder.display())]
    Busy {
        /// The folder.
        folder: PathBuf,
    },
    /// The parts of a checkpoint are not those that were saved together.
    #[error("{}: {reason}", folder.display())]
    Checkpoint {
        /// Its folder.
        folder: PathBuf,
        /// The part, what was expected and what was found.
        reason: String,
    },
    /// The adapter in the folder of a run is of none of its checkpoints.
    #[error("the adapter in {} is that of none of the checkpoints beside it", folder.display())]
    Stray {
        /// The folder of the run.
        folder: PathBuf,
        /// The newest checkpoint beside it.
        newest: PathBuf,
    },
    /// A run that is to be gone on with ended before its first checkpoint.
    #[error("the run in {} ended before its first checkpoint", folder.display())]
    Unsaved {
        /// The folder of the run.
        folder: PathBuf,
    },
    /// The run was asked to stop in the middle of a step or an evaluation.
    #[error("interrupted")]
    Interrupted,
    /// A saved optimizer state does not fit the parameters.
    #[error("{}: {reason}", path.display())]
    OptimizerState {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] crate::files::Error),
    /// An adapter cannot be written.
    #[error(transparent)]
    Lora(Box<crate::lora::Error>),
    /// The model refused a batch, or a checkpoint cannot be written.
    #[error(transparent)]
    Model(#[from] crate::models::Error),
    /// An operation failed.
    #[error(transparent)]
    Kernel(#[from] metal_candle_kernels::Error),
    /// candle failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

impl Error {
    /// Pairs of completions where rows of supervised fine-tuning are expected.
    pub(super) fn pairs(batch: &Batch) -> Self {
        let lines = batch.lines.clone();
        Self::Pairs { lines }
    }
}

impl From<crate::lora::Error> for Error {
    fn from(error: crate::lora::Error) -> Self {
        Self::Lora(Box::new(error))
    }
}

/// Result of training.
pub type Result<T> = std::result::Result<T, Error>;
