use crate::files;
use std::path::{Path, PathBuf};

/// Error in a GGUF file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] files::Error),
    /// Content that is not what the format says.
    #[error("{}: damaged or truncated GGUF file: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A key of the metadata is missing, or its value is of no use.
    #[error("{}: {key} must be {expected}, got {got}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What its value must be.
        expected: String,
        /// Its value.
        got: String,
    },
    /// Content that asks for something that is not built.
    #[error("{}: {what} is not supported: {reason}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it has.
        what: String,
        /// What is built.
        reason: String,
    },
}

impl Error {
    pub(crate) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_path_buf(),
            reason: reason.into(),
        }
    }

    pub(crate) fn unsupported(
        path: &Path,
        what: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self::Unsupported {
            path: path.to_path_buf(),
            what: what.into(),
            reason: reason.into(),
        }
    }
}

/// Result of reading or writing a GGUF file.
pub type Result<T> = std::result::Result<T, Error>;
