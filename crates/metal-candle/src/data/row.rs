//! One row of a data set: what is in it, whatever columns it came from.

pub(super) mod fields;
mod foreign;
#[cfg(test)]
mod tests;
mod turns;

use super::error::RowError;
use super::json::Json;
use super::shape::{Keys, Shape};
use super::template::Message;
pub(super) use fields::{wrong_type, zero_or_one};
pub(super) use foreign::PREFERENCE;

/// Content of one row of a data set.
#[derive(Debug, Clone, PartialEq)]
pub enum Row {
    /// `prompt` and `completion` (and maybe `tools`).
    Completion {
        /// What is given.
        prompt: String,
        /// What is to be learnt.
        completion: String,
        /// Function schemas for the chat template.
        tools: Option<Vec<Json>>,
    },
    /// `messages` (and maybe `tools`).
    Messages {
        /// The conversation, every field as it was read.
        messages: Vec<Message>,
        /// Function schemas for the chat template.
        tools: Option<Vec<Json>>,
    },
    /// `chosen` and `rejected`, and maybe `prompt` (and `tools`): one completion that is preferred to another. Without
    /// `prompt` both begin with it.
    Preference {
        /// What both complete; `None`: what both begin with.
        prompt: Option<Content>,
        /// The better completion.
        chosen: Content,
        /// The worse completion: text where the better one is text, messages where that is.
        rejected: Content,
        /// Function schemas for the chat template.
        tools: Option<Vec<Json>>,
    },
    /// A conversation of which the end is to be learnt.
    Exchange {
        /// Messages that are given.
        prompt: Vec<Message>,
        /// Messages to be learnt.
        completion: Vec<Message>,
        /// Function schemas for the chat template.
        tools: Option<Vec<Json>>,
    },
    /// Text that goes on from another one, without a chat template.
    Continuation {
        /// What is given.
        prompt: String,
        /// What is to be learnt.
        completion: String,
    },
    /// `text`.
    Text(String),
}

/// Text, or the messages of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Text.
    Text(String),
    /// Messages, every field as it was read.
    Messages(Vec<Message>),
}

impl Row {
    /// What is given, and what is to be learnt.
    pub fn completion(prompt: impl Into<String>, completion: impl Into<String>) -> Self {
        Self::Completion {
            prompt: prompt.into(),
            completion: completion.into(),
            tools: None,
        }
    }

    /// A prompt, the better of two completions, and the worse one.
    pub fn preference(
        prompt: impl Into<String>,
        chosen: impl Into<String>,
        rejected: impl Into<String>,
    ) -> Self {
        Self::Preference {
            prompt: Some(Content::Text(prompt.into())),
            chosen: Content::Text(chosen.into()),
            rejected: Content::Text(rejected.into()),
            tools: None,
        }
    }
}

impl Row {
    /// Function schemas for the chat template.
    pub(super) fn tools(&self) -> Option<&[Json]> {
        match self {
            Self::Completion { tools, .. }
            | Self::Messages { tools, .. }
            | Self::Preference { tools, .. }
            | Self::Exchange { tools, .. } => tools.as_deref(),
            Self::Continuation { .. } | Self::Text(_) => None,
        }
    }

    /// What the system says in the first message.
    fn system(&self) -> Option<&Json> {
        let messages = match self {
            Self::Messages { messages, .. }
            | Self::Exchange {
                prompt: messages, ..
            }
            | Self::Preference {
                prompt: Some(Content::Messages(messages)),
                ..
            }
            | Self::Preference {
                chosen: Content::Messages(messages),
                ..
            } => messages,
            _ => return None,
        };
        let first = messages.first()?;
        let is_system = first.get("role").and_then(Json::as_str) == Some("system");
        first.get("content").filter(|_| is_system)
    }

    /// The kind of this row.
    pub fn kind(&self) -> RowKind {
        match self {
            Self::Completion { .. } | Self::Exchange { .. } | Self::Continuation { .. } => {
                RowKind::Completion
            }
            Self::Messages { .. } => RowKind::Messages,
            Self::Text(_) => RowKind::Text,
            Self::Preference { .. } => RowKind::Preference,
        }
    }
}

/// The kind of a row; all rows of a file are of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowKind {
    /// What is given, and what is to be learnt.
    Completion,
    /// A conversation.
    Messages,
    /// Text.
    Text,
    /// Two answers, of which one is preferred.
    Preference,
}

impl RowKind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Completion => "prompts and completions",
            Self::Messages => "conversations",
            Self::Text => "text",
            Self::Preference => "preferences",
        }
    }
}

/// One line of a data set: its row, and what stands beside it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) row: Row,
    /// The row has weight 0.
    pub(super) is_left_out: bool,
    /// Keys of the row that nothing reads.
    pub(super) unread: Vec<String>,
    /// Column of what the system says, where the messages begin with something else that it says.
    pub(super) second_system: Option<String>,
}

impl Line {
    /// Reads the fields of a line. `shape` is that of the rows before, and becomes that of the first.
    ///
    /// A key whose value is null is an absent key: tables fill every column.
    ///
    /// # Errors
    /// When the line is no object, is of another kind or of a kind that is not trained, or a field has the wrong type.
    pub(super) fn read(
        value: Json,
        shape: &mut Option<Shape>,
        keys: &Keys,
        is_chat: bool,
    ) -> Result<Self, RowError> {
        let Json::Object(mut row) = value else {
            return Err(RowError::NotAnObject {
                got: value.type_name(),
            });
        };
        let of_file = match shape {
            Some(shape) => shape,
            None => {
                foreign::check(&row, false)?;
                shape.insert(Shape::of(&row, keys)?)
            }
        };
        let is_asked = of_file.is_told() || of_file.kind() == RowKind::Preference;
        foreign::check(&row, !is_asked)?;
        let system = of_file.system(&row);
        let read = of_file.take(&mut row, is_chat)?;
        let is_second = |text: &str| read.system().is_some_and(|own| own.as_str() != Some(text));
        row.retain(|_, value| !value.is_null());
        let is_left_out = fields::take_weight(&mut row)? == Some(false);
        Ok(Self {
            second_system: system
                .filter(|(_, text)| is_second(text))
                .map(|(key, _)| key.to_owned()),
            row: read,
            is_left_out,
            unread: row.into_keys().collect(),
        })
    }
}
