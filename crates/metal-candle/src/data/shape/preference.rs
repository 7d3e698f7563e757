//! Rows of two answers, of which one is preferred.

use super::chat::with_system;
use super::pair::{side, system};
use super::path;
use crate::data::error::RowError;
use crate::data::json::{Json, Object};
use crate::data::row::{Content, Row};
use crate::data::template::Message;

pub(super) const CHOSEN: &str = "chosen";
pub(super) const REJECTED: &str = "rejected";

/// Columns of a pair of answers. Without a prompt it is what both begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Preference {
    pub(super) prompt: Option<String>,
}

impl Preference {
    pub(super) fn needed(&self) -> Vec<&str> {
        let prompt = self.prompt.as_deref();
        prompt.into_iter().chain([CHOSEN, REJECTED]).collect()
    }

    /// The row: texts where all of its columns are, or else conversations.
    pub(super) fn row(&self, row: &Object, tools: Option<Vec<Json>>) -> Result<Row, RowError> {
        let is_text = |key: &str| path::get(row, key).and_then(Json::as_str).is_some();
        let system = system(row)?;
        let (prompt, chosen, rejected) =
            match self.needed().into_iter().all(is_text) && system.is_none() {
                true => self.texts(row)?,
                false => self.conversations(row, system)?,
            };
        Ok(Row::Preference {
            prompt,
            chosen,
            rejected,
            tools,
        })
    }

    fn texts(&self, row: &Object) -> Result<Sides, RowError> {
        let text = |key: &str| path::text(row, key).map(Content::Text);
        let prompt = self.prompt.as_deref().map(text).transpose()?;
        Ok((prompt, text(CHOSEN)?, text(REJECTED)?))
    }

    /// Answers that begin with the user or the system are whole conversations: the prompt is in them. Without a prompt
    /// of its own both begin with what the system says.
    fn conversations(&self, row: &Object, system: Option<String>) -> Result<Sides, RowError> {
        let chosen = side(row, CHOSEN, "assistant")?;
        let rejected = side(row, REJECTED, "assistant")?;
        let is_whole = chosen.first().is_some_and(|first| !is_by_assistant(first));
        let messages = Content::Messages;
        Ok(match &self.prompt {
            Some(key) if !is_whole => {
                let prompt = with_system(side(row, key, "user")?, system);
                (Some(messages(prompt)), messages(chosen), messages(rejected))
            }
            _ => {
                let [chosen, rejected] =
                    [chosen, rejected].map(|answer| with_system(answer, system.clone()));
                (None, messages(chosen), messages(rejected))
            }
        })
    }
}

/// A prompt, the better answer, and the worse one.
type Sides = (Option<Content>, Content, Content);

fn is_by_assistant(message: &Message) -> bool {
    message.get("role").and_then(Json::as_str) == Some("assistant")
}
