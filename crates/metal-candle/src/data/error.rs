//! Errors of a tokenizer, a chat template or a data set.

mod row;

use std::path::{Path, PathBuf};

use super::json::shortened;
use super::source::{FileFormat, Unit};
use super::splits::Split;
use super::template::{TemplateError, TemplateErrorKind};
use crate::files;
pub use row::RowError;

/// Result of the functions of this module.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of the data module. Lines count from 1.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] files::Error),
    /// A GGUF file cannot be used.
    #[error(transparent)]
    Gguf(#[from] crate::gguf::Error),
    /// A file of a model folder is not what it should be.
    #[error("{}: {reason}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        reason: String,
    },
    /// The tokenizer failed on a text or on token ids.
    #[error("the tokenizer failed: {0}")]
    Tokenizer(String),
    /// A folder has a tokenizer in a format that is not read.
    #[error("{} has {found}, but no tokenizer.json, the one format that is read", folder.display())]
    OtherTokenizer {
        /// The model's folder.
        folder: PathBuf,
        /// Name of the file that is there.
        found: String,
    },
    /// A folder has no tokenizer in any known format.
    #[error("no tokenizer.json in {}, nor a tokenizer in another format (tokenizer.model, tekken.json, vocab.json, vocab.txt, *.tiktoken)", folder.display())]
    NoTokenizer {
        /// The model's folder.
        folder: PathBuf,
    },
    /// A chat template is no valid Jinja.
    #[error("the chat template is not valid: {message}")]
    TemplateSyntax {
        /// What is wrong, with the line.
        message: String,
    },
    /// A chat template failed while rendering.
    #[error("the chat template failed: {message}")]
    TemplateRender {
        /// What went wrong, with the line.
        message: String,
    },
    /// A chat template refused the conversation (`raise_exception`).
    #[error("the chat template refuses these messages: {message}")]
    TemplateRaised {
        /// The template's own words.
        message: String,
    },
    /// There is no message to render.
    #[error("a conversation needs at least one message")]
    NoMessages,
    /// The tokenizer has no chat template.
    #[error("no chat template: {} has none in chat_template.jinja or tokenizer_config.json", folder.display())]
    NoChatTemplate {
        /// The model's folder.
        folder: PathBuf,
    },
    /// The tokenizer names no end-of-sequence token.
    #[error("no end-of-sequence token: {} has no eos_token in tokenizer_config.json or special_tokens_map.json", folder.display())]
    NoEosToken {
        /// The model's folder.
        folder: PathBuf,
    },
    /// A row of a data set cannot be used.
    #[error("{}{}{line}: {error}", path.display(), unit.before())]
    Row {
        /// The data file.
        path: PathBuf,
        /// Place of the row.
        line: usize,
        /// What the place counts.
        unit: Unit,
        /// What is wrong with it.
        #[source]
        error: Box<RowError>,
    },
    /// A data file holds something else than rows.
    #[error("{}: this is {format}, and rows are read from JSONL, JSON, CSV, TSV and Parquet, plain or packed with gzip or Zstandard", path.display())]
    NotRows {
        /// The data file.
        path: PathBuf,
        /// What it is.
        format: FileFormat,
    },
    /// A data file cannot be read as the container that it is.
    #[error("{}: {reason}", path.display())]
    Container {
        /// The data file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Several files may be meant.
    #[error("{}: several files may be the {split} data: {}", folder.display(), quoted(found))]
    ManyFiles {
        /// The split that is looked for.
        split: Split,
        /// Where it is looked for.
        folder: PathBuf,
        /// Names of the files.
        found: Vec<String>,
    },
    /// A share to hold out was asked for, and there are rows to watch the loss on.
    #[error("{}: there are validation rows already, so that none can be held out", path.display())]
    HasValid {
        /// The data.
        path: PathBuf,
    },
    /// A split was asked for that the data do not have.
    #[error("no {split} data in {}", path.display())]
    NoSplit {
        /// Which one.
        split: Split,
        /// The data.
        path: PathBuf,
    },
    /// A data file holds no row.
    #[error("{}: no rows", path.display())]
    EmptyFile {
        /// The data file.
        path: PathBuf,
    },
    /// No row of a data file has anything to train.
    #[error("{}: {}", path.display(), untrained(*n_rows))]
    NothingToTrain {
        /// The data file.
        path: PathBuf,
        /// Rows read.
        n_rows: usize,
    },
    /// Longer rows were asked for than the model can take.
    #[error("rows of {asked} tokens are over the model's max_position_embeddings of {limit}")]
    MaxSeqLength {
        /// The longest row that was asked for.
        asked: usize,
        /// The longest that the model takes.
        limit: usize,
    },
    /// A split was asked for whose file does not exist.
    #[error("no {split} data: {} does not exist", path.display())]
    MissingSplit {
        /// Which one.
        split: Split,
        /// The file looked for.
        path: PathBuf,
    },
    /// A saved position lies outside of the data.
    #[error("batch {position} of an epoch that has {n_batches} batches")]
    CursorOutOfRange {
        /// Batches of the epoch already taken.
        position: usize,
        /// Batches of an epoch.
        n_batches: usize,
    },
    /// A vocabulary has no room for what it must hold.
    #[error(
        "a vocabulary of {vocab_size} tokens is too small: the bytes and special tokens need {needed}"
    )]
    VocabTooSmall {
        /// Size asked for, special tokens included.
        vocab_size: usize,
        /// The smallest size possible.
        needed: usize,
    },
}

fn untrained(n_rows: usize) -> String {
    match n_rows {
        1 => "its only row has no token to train".to_owned(),
        n => format!("none of the {n} rows has a token to train"),
    }
}

fn quoted(keys: &[impl AsRef<str>]) -> String {
    if keys.is_empty() {
        return "no keys".to_owned();
    }
    const SHOWN: usize = 20;
    let shown = keys.iter().take(SHOWN);
    let shown: Vec<String> = shown
        .map(|key| format!("\"{}\"", shortened(key.as_ref())))
        .collect();
    match keys.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

impl Error {
    pub(super) fn config(path: &Path, reason: String) -> Self {
        Self::Config {
            path: path.to_owned(),
            reason,
        }
    }

    /// From the boxed errors of the `tokenizers` crate.
    pub(super) fn tokenizer(error: tokenizers::Error) -> Self {
        Self::Tokenizer(error.to_string())
    }

    /// From the errors of `serde_json` on a part of a tokenizer.
    pub(super) fn json(error: serde_json::Error) -> Self {
        Self::Tokenizer(error.to_string())
    }

    /// Tells a template that is no Jinja, its own refusal, and its failure apart.
    pub(super) fn template(error: TemplateError) -> Self {
        match error.kind() {
            TemplateErrorKind::Syntax => Self::TemplateSyntax {
                message: error.to_string(),
            },
            TemplateErrorKind::Raised => Self::TemplateRaised {
                message: error.message().to_owned(),
            },
            TemplateErrorKind::Render => Self::TemplateRender {
                message: error.to_string(),
            },
        }
    }
}
