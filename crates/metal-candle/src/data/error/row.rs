use std::path::PathBuf;

use super::{Error, quoted};
use crate::data::json::{JsonError, shortened};

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
