use crate::lora::{self, Method};
use crate::{data, language_model, models, train};
use std::path::PathBuf;

/// Reason why a model cannot be fine-tuned.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The checkpoint.
    #[error(transparent)]
    Model(#[from] models::Error),
    /// The tokenizer, or the rows.
    #[error(transparent)]
    Data(#[from] data::Error),
    /// The adapter.
    #[error(transparent)]
    Adapter(Box<lora::Error>),
    /// The training.
    #[error(transparent)]
    Training(Box<train::Error>),
    /// The model with its adapter or its tokenizer.
    #[error(transparent)]
    LanguageModel(Box<language_model::Error>),
    /// The run would overwrite the model that it starts from.
    #[error("{} is the folder of the model itself", folder.display())]
    OwnFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// The adapter to go on with is of another method.
    #[error("expected a {} adapter, the one in {} is a {} adapter", expected.name(), path.display(), got.name())]
    OtherMethod {
        /// Where it was read from.
        path: PathBuf,
        /// The method that was asked for.
        expected: Method,
        /// The method of the adapter.
        got: Method,
    },
}

impl From<lora::Error> for Error {
    fn from(error: lora::Error) -> Self {
        Self::Adapter(Box::new(error))
    }
}

impl From<language_model::Error> for Error {
    fn from(error: language_model::Error) -> Self {
        Self::LanguageModel(Box::new(error))
    }
}

impl From<train::Error> for Error {
    fn from(error: train::Error) -> Self {
        Self::Training(Box::new(error))
    }
}

/// Result with the error of this module.
pub type Result<T> = std::result::Result<T, Error>;
