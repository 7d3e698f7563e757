//! One line of a JSONL data set. The kinds of rows, and the order in which they are told apart, are
//! those of mlx-lm.

mod fields;
mod foreign;
#[cfg(test)]
mod tests;

use super::error::RowError;
use super::json::{Json, Object, parse};
use super::template::Message;
pub(super) use fields::{wrong_type, zero_or_one};

/// Content of one line of a data set.
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
    /// `text`.
    Text(String),
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
}

/// The kind of a row; all rows of a file are of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowKind {
    /// `prompt` and `completion`.
    Completion,
    /// `messages`.
    Messages,
    /// `text`.
    Text,
}

impl RowKind {
    const ALL: [Self; 3] = [Self::Completion, Self::Messages, Self::Text];

    /// The keys that make a row of this kind.
    pub fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Completion => &["prompt", "completion"],
            Self::Messages => &["messages"],
            Self::Text => &["text"],
        }
    }

    /// The kind of `row`: the first whose keys are all there.
    fn of(row: &Object) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.missing(row).is_none())
    }

    fn missing(self, row: &Object) -> Option<&'static str> {
        self.keys()
            .iter()
            .find(|key| !row.contains_key(**key))
            .copied()
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
    /// Keys that stand more than once in an object.
    pub(super) duplicates: Vec<String>,
}

impl Line {
    /// Reads one line. `kind` is that of the file's first row; `None` on that row itself.
    ///
    /// A key whose value is null is an absent key: tables that are exported as JSON fill every
    /// column.
    ///
    /// # Errors
    /// When the line is no JSON object, is of another kind or of a kind that is not trained, or a
    /// field has the wrong type.
    pub(super) fn parse(line: &[u8], kind: Option<RowKind>) -> Result<Self, RowError> {
        let (value, duplicates) = parse(line)?;
        let Json::Object(mut row) = value else {
            return Err(RowError::NotAnObject {
                got: value.type_name(),
            });
        };
        let keys = keys(&row);
        row.retain(|_, value| !value.is_null());
        foreign::check(&row)?;
        let kind = kind_of(&row, kind, keys)?;
        let is_left_out = fields::take_weight(&mut row)? == Some(false);
        Ok(Self {
            row: Row::take(&mut row, kind)?,
            is_left_out,
            unread: row.into_keys().collect(),
            duplicates,
        })
    }
}

/// The kind of a row: that of its file, if it has the keys for it.
fn kind_of(row: &Object, of_file: Option<RowKind>, got: Vec<String>) -> Result<RowKind, RowError> {
    let Some(kind) = of_file.or_else(|| RowKind::of(row)) else {
        return Err(RowError::UnknownKind { got });
    };
    match kind.missing(row) {
        None => Ok(kind),
        Some(key) => Err(RowError::OtherKind {
            expected: kind.keys(),
            key,
            got,
        }),
    }
}

fn keys(row: &Object) -> Vec<String> {
    row.iter()
        .map(|(key, value)| match value {
            Json::Null => format!("{key} (null)"),
            _ => key.clone(),
        })
        .collect()
}

impl Row {
    /// Takes what makes a row of `kind` out of the line's fields.
    fn take(row: &mut Object, kind: RowKind) -> Result<Self, RowError> {
        Ok(match kind {
            RowKind::Text => Self::Text(fields::take_string(row, "text")?),
            RowKind::Messages => Self::Messages {
                messages: fields::take_messages(row)?,
                tools: fields::take_tools(row)?,
            },
            RowKind::Completion => Self::Completion {
                prompt: fields::take_string(row, "prompt")?,
                completion: fields::take_string(row, "completion")?,
                tools: fields::take_tools(row)?,
            },
        })
    }

    /// The kind of this row.
    pub fn kind(&self) -> RowKind {
        match self {
            Self::Completion { .. } => RowKind::Completion,
            Self::Messages { .. } => RowKind::Messages,
            Self::Text(_) => RowKind::Text,
        }
    }
}
