//! Errors of a tokenizer, a chat template or a data set.

use std::path::{Path, PathBuf};

use super::json::{JsonError, shortened};
use super::source::{FileFormat, Unit};
use super::splits::Split;
use super::template::{TemplateError, TemplateErrorKind};
use crate::files;

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
    #[error("{}: this is {format}, and rows are read from JSONL, JSON, CSV, TSV and Parquet, plain or packed with gzip", path.display())]
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
    #[error("{}: none of the {n_rows} rows has a token to train", path.display())]
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

/// Error in one row.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// The line is no JSON.
    #[error("not valid JSON: {0}")]
    Json(#[from] JsonError),
    /// The line is JSON, but no object.
    #[error("expected a JSON object, got {got}")]
    NotAnObject {
        /// Kind of JSON value found.
        got: &'static str,
    },
    /// The row has none of the keys that make a row.
    #[error(
        "expected the keys \"prompt\" and \"completion\", \"messages\", \"text\", or those of another shape that is known \
         (\"instruction\" and \"output\", \"question\" and \"answer\", \"conversations\", ...); got {}",
        quoted(got)
    )]
    UnknownKind {
        /// The keys found.
        got: Vec<String>,
    },
    /// The row lacks a key that the first row of the file has.
    #[error(
        "the rows of this file have {}, but this one has no \"{key}\"; got {}",
        quoted(expected),
        quoted(got)
    )]
    OtherKind {
        /// The keys of the file's first row.
        expected: Vec<String>,
        /// The missing key.
        key: String,
        /// The keys found.
        got: Vec<String>,
    },
    /// The columns can be read in several ways.
    #[error("the keys {} can be read in several ways: {}", quoted(got), ways.join("; "))]
    Ambiguous {
        /// The keys found.
        got: Vec<String>,
        /// Each way, with the options that ask for it.
        ways: Vec<String>,
    },
    /// A column that a person named is not there.
    #[error("no \"{}\" in the row; got {}", shortened(key), quoted(got))]
    NoColumn {
        /// The column.
        key: String,
        /// The keys found.
        got: Vec<String>,
    },
    /// A record of a table cannot be read.
    #[error("{0}")]
    Record(String),
    /// Somebody speaks whose role is not known.
    #[error("{field}: the role \"{}\" is none of {}", shortened(got), known.join(", "))]
    UnknownRole {
        /// The field.
        field: String,
        /// What it holds.
        got: String,
        /// Roles that are known.
        known: Vec<&'static str>,
    },
    /// A field has a value of the wrong type.
    #[error("{field}: expected {expected}, got {got}")]
    WrongType {
        /// The field, e.g. `messages[2].role`.
        field: String,
        /// What belongs there.
        expected: &'static str,
        /// Kind of JSON value found.
        got: &'static str,
    },
    /// A field that should hold JSON as text does not.
    #[error("{field}: the text is not valid JSON: {error}")]
    Text {
        /// The field.
        field: String,
        /// What is wrong with it.
        error: JsonError,
    },
    /// A field that is read holds what no text can be made of.
    #[error("{field}: no text can be made of {got}")]
    Unreadable {
        /// The field, e.g. `messages[2].content`.
        field: String,
        /// What it holds.
        got: &'static str,
    },
    /// A weight between or beyond 0 and 1.
    #[error("{field}: expected 0 or 1, for not trained and trained")]
    Weight {
        /// The field.
        field: String,
    },
    /// A message is marked as not trained, and everything is to be trained.
    #[error(
        "{field} asks for a turn that is not trained, and without prompt masking every turn is"
    )]
    MarkNeedsMask {
        /// The mark.
        field: String,
    },
    /// A message that is not the assistant's is marked as trained.
    #[error(
        "{field} asks for a turn to be trained that is not the assistant's, and only the assistant's are"
    )]
    MarkOfOther {
        /// The mark.
        field: String,
    },
    /// Two marks of one message say the opposite of each other.
    #[error("{other} and {field} differ about whether the turn is trained")]
    MarksDiffer {
        /// The later mark.
        field: String,
        /// The earlier mark.
        other: String,
    },
    /// A turn of a completion of preference data is marked as not trained.
    #[error(
        "a completion of \"chosen\" and \"rejected\" is trained as a whole, and a turn of it is marked as not trained"
    )]
    MarkedCompletion,
    /// Pairs of completions were asked for, and the row is none.
    #[error(
        "preferences are learnt from \"chosen\" and \"rejected\", and the row has no \"{missing}\""
    )]
    NotPreference {
        /// The key that is not there.
        missing: &'static str,
    },
    /// The row is for another way of training.
    #[error(
        "the row has {}, which makes it {what}; only supervised rows are trained: \"prompt\" and \"completion\", \"messages\", or \"text\"",
        quoted(keys)
    )]
    Preference {
        /// The keys that tell.
        keys: &'static [&'static str],
        /// What the row is.
        what: &'static str,
    },
    /// The row has a picture or the like.
    #[error("{field}: {what}, and the models that are built read text only")]
    Media {
        /// The field.
        field: String,
        /// What it holds.
        what: &'static str,
    },
    /// The chat template reads text, and a part of a message's content is something else.
    #[error("{field}: a part of type {kind}, and the chat template reads text only")]
    NotAText {
        /// The part.
        field: String,
        /// Its type.
        kind: String,
    },
    /// The row needs a chat template and the tokenizer has none.
    #[error("a \"messages\" row needs a chat template, and the tokenizer in {} has none: add chat_template.jinja there, or use \"text\" rows", folder.display())]
    NoChatTemplate {
        /// The tokenizer's folder.
        folder: PathBuf,
    },
    /// Prompt masking was asked for on a row without a prompt.
    #[error(
        "a \"text\" row has no prompt to mask: use \"prompt\" and \"completion\" or \"messages\", or turn prompt masking off"
    )]
    MaskedText,
    /// The list of messages is empty.
    #[error("{field}: expected at least one message")]
    NoMessages {
        /// The field.
        field: String,
    },
    /// The chat template hides which part of the text an assistant message is.
    #[error(
        "cannot tell where messages[{index}] {edge} in what the chat template renders, so its prompt cannot be masked"
    )]
    TurnNotFound {
        /// Position of the message, from 0.
        index: usize,
        /// `starts` or `ends`.
        edge: &'static str,
    },
    /// A token id is beyond the model's embedding table.
    #[error(
        "token id {id} at position {position} is out of range: the model has {vocab_size} tokens"
    )]
    TokenOutOfRange {
        /// The token id.
        id: u32,
        /// Its position in the row.
        position: usize,
        /// Tokens the model has.
        vocab_size: usize,
    },
    /// The tokenizer or its chat template failed.
    #[error(transparent)]
    Encode(#[from] Error),
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
