//! Rows of what is given and what is to be learnt, in two columns.

use super::chat::{self, message, with_system};
use super::path;
use crate::data::error::RowError;
use crate::data::json::{Json, Object};
use crate::data::row::Row;
use crate::data::template::Message;

/// Columns of what the system says.
pub(super) const SYSTEMS: [&str; 3] = ["system", "system_prompt", "system_message"];

/// Columns of what a prompt is about.
pub(super) const CONTEXTS: [&str; 2] = ["input", "context"];

/// Columns of a pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) prompt: String,
    pub(super) completion: String,
    /// `prompt` and `completion` of mlx-lm and TRL: nothing stands beside them, and without a chat template nothing
    /// between them.
    pub(super) is_plain: bool,
}

impl Pair {
    pub(super) fn new(prompt: &str, completion: &str) -> Self {
        Self {
            prompt: prompt.to_owned(),
            completion: completion.to_owned(),
            is_plain: (prompt, completion) == ("prompt", "completion"),
        }
    }

    /// The row: a conversation where either side is one, or the system says something.
    pub(super) fn row(
        &self,
        row: &Object,
        tools: Option<Vec<Json>>,
        is_chat: bool,
    ) -> Result<Row, RowError> {
        let is_list =
            |key: &str| matches!(path::get(row, key), Some(Json::Array(_) | Json::Object(_)));
        if is_list(&self.prompt) || is_list(&self.completion) {
            return self.exchange(row, tools);
        }
        let prompt = path::text(row, &self.prompt)?;
        let completion = path::text(row, &self.completion)?;
        if self.is_plain {
            return Ok(Row::Completion {
                prompt,
                completion,
                tools,
            });
        }
        let prompt = self.with_context(row, prompt)?;
        Ok(match (is_chat, system(row)?) {
            (true, None) => Row::Completion {
                prompt,
                completion,
                tools,
            },
            (true, system) => Row::Exchange {
                prompt: with_system(vec![message("user", &prompt)], system),
                completion: vec![message("assistant", &completion)],
                tools,
            },
            (false, system) => {
                let parts = system.into_iter().chain([prompt]);
                let prompt: String = parts.map(|part| part + BETWEEN).collect();
                Row::Continuation { prompt, completion }
            }
        })
    }

    fn exchange(&self, row: &Object, tools: Option<Vec<Json>>) -> Result<Row, RowError> {
        let system = match self.is_plain {
            true => None,
            false => system(row)?,
        };
        Ok(Row::Exchange {
            prompt: with_system(side(row, &self.prompt, "user")?, system),
            completion: side(row, &self.completion, "assistant")?,
            tools,
        })
    }

    /// What is asked, and behind it what it is about.
    fn with_context(&self, row: &Object, prompt: String) -> Result<String, RowError> {
        let own = [&self.prompt, &self.completion];
        let mut others = CONTEXTS
            .into_iter()
            .filter(|key| own.iter().all(|own| *own != key));
        match others.find(|key| path::get(row, key).is_some()) {
            None => Ok(prompt),
            Some(key) => match path::text(row, key)? {
                context if context.trim().is_empty() => Ok(prompt),
                context => Ok(prompt + BETWEEN + &context),
            },
        }
    }
}

/// Between the parts of a prompt, and without a chat template between a prompt and its completion.
const BETWEEN: &str = "\n\n";

/// What the system says, where a row has a column for it that is not empty.
///
/// # Errors
/// When it holds something else than text.
pub(super) fn system(row: &Object) -> Result<Option<String>, RowError> {
    let found = SYSTEMS
        .into_iter()
        .find(|key| path::get(row, key).is_some());
    let text = found.map(|key| path::text(row, key)).transpose()?;
    Ok(text.filter(|text| !text.trim().is_empty()))
}

/// Messages of one side of a row: a list of them, one, or the text of one by `role`.
///
/// # Errors
/// When it holds something else.
pub(super) fn side(row: &Object, key: &str, role: &str) -> Result<Vec<Message>, RowError> {
    match path::get(row, key) {
        Some(Json::String(text)) => Ok(vec![message(role, text)]),
        Some(Json::Object(item)) => chat::turn(item, key),
        Some(value) => chat::messages(value, key),
        None => Ok(vec![]),
    }
}
