//! Turns of a row: what is asked, and whether it is answered.

use super::{Content, Row};
use crate::data::json::Json;
use crate::data::template::Message;

impl Row {
    /// Words before the last answer, as a person wrote them: the prompt, or the last message with a text.
    pub(in crate::data) fn asked(&self) -> Option<&str> {
        match self {
            Self::Completion { prompt, .. } | Self::Continuation { prompt, .. } => Some(prompt),
            Self::Exchange { prompt, .. } => last_text(prompt),
            Self::Messages { messages, .. } => before_answer(messages),
            Self::Preference { prompt, chosen, .. } => match (prompt, chosen) {
                (Some(Content::Text(text)), _) => Some(text),
                (Some(Content::Messages(messages)), _) => last_text(messages),
                (None, Content::Messages(messages)) => before_answer(messages),
                (None, Content::Text(_)) => None,
            },
            Self::Text(_) => None,
        }
    }

    /// Whether nothing is said where something is to be learnt: in the completion, or the assistant's last turn.
    pub(in crate::data) fn is_unanswered(&self) -> bool {
        match self {
            Self::Completion { completion, .. } | Self::Continuation { completion, .. } => {
                completion.trim().is_empty()
            }
            Self::Exchange { completion, .. } => completion.iter().all(says_nothing),
            Self::Messages { messages, .. } => {
                let last = messages.iter().rfind(is_answer);
                last.is_some_and(says_nothing)
            }
            Self::Text(_) | Self::Preference { .. } => false,
        }
    }
}

/// Whether a message is the assistant's.
fn is_answer(message: &&Message) -> bool {
    message.get("role").and_then(Json::as_str) == Some("assistant")
}

/// The text before the assistant's last turn.
fn before_answer(messages: &[Message]) -> Option<&str> {
    let end = messages.iter().rposition(|message| is_answer(&message))?;
    last_text(&messages[..end])
}

/// The text of the last message that has one.
fn last_text(messages: &[Message]) -> Option<&str> {
    let mut contents = messages
        .iter()
        .rev()
        .filter_map(|message| message.get("content"));
    contents.find_map(Json::as_str)
}

/// Whether a message has neither text nor calls of functions.
fn says_nothing(message: &Message) -> bool {
    let is_empty = |value: &Json| match value {
        Json::String(text) => text.trim().is_empty(),
        Json::Array(items) => items.is_empty(),
        value => value.is_null(),
    };
    let mut others = message.iter().filter(|(key, _)| *key != "role");
    others.all(|(_, value)| is_empty(value))
}
