use crate::{data, lora, models, train};

/// Reason why something cannot be done with a [`super::LanguageModel`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A checkpoint, or the model's output.
    #[error(transparent)]
    Model(#[from] models::Error),
    /// The tokenizer, or its chat template.
    #[error(transparent)]
    Data(#[from] data::Error),
    /// An adapter.
    #[error(transparent)]
    Adapter(#[from] lora::Error),
    /// The training.
    #[error(transparent)]
    Training(Box<train::Error>),
    /// A row that no tokens can be made of.
    #[error("row {row}: {source}")]
    Row {
        /// Index of the row, from 0 on.
        row: usize,
        /// What is wrong with it.
        source: Box<data::RowError>,
    },
    /// A row of which nothing would be trained.
    #[error("row {row}: none of its {n_tokens} tokens would be trained")]
    NothingToTrain {
        /// Index of the row, from 0 on.
        row: usize,
        /// Tokens of the row, cut at the longest sequence.
        n_tokens: usize,
    },
}

impl From<train::Error> for Error {
    fn from(error: train::Error) -> Self {
        Self::Training(Box::new(error))
    }
}

/// Result with the error of this module.
pub type Result<T> = std::result::Result<T, Error>;
