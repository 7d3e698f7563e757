//! One row as the model sees it: tokens, and which of them the loss counts.

use std::ops::Range;

use serde_json::{Map, Value};

use super::error::{Error, Result, RowError};
use super::mask::{assistant_turns, overlaps};
use super::row::Row;
use super::template::Message;
use super::tokenizer::{Encoded, Tokenizer};

/// A row in tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Token ids.
    pub tokens: Vec<u32>,
    /// Whether the token at this position is a target of the loss. The first never is: nothing
    /// predicts it.
    pub trained: Vec<bool>,
    /// Line of the row in its file, counted from 1.
    pub line: usize,
}

impl Example {
    /// Turns a row into tokens.
    ///
    /// * `text`: the tokenizer's own special tokens, the text, and the end-of-sequence token unless
    ///   it is there already.
    /// * `messages`: what the chat template renders.
    /// * `prompt` and `completion`: a user's and an assistant's message, or without a chat template
    ///   like `text`.
    ///
    /// With `mask_prompt` only the assistant's turns (or the completion) are trained, without it
    /// everything is.
    ///
    /// # Errors
    /// When the row cannot be masked or the tokenizer or its chat template fails.
    pub fn from_row(
        row: &Row,
        line: usize,
        tokenizer: &Tokenizer,
        mask_prompt: bool,
    ) -> std::result::Result<Self, RowError> {
        let (encoded, mut trained) = match row {
            Row::Text(_) if mask_prompt => return Err(RowError::MaskedText),
            Row::Text(text) => plain(text, 0, tokenizer)?,
            Row::Messages { messages, tools } => {
                chat(messages, tools.as_deref(), tokenizer, mask_prompt)?
            }
            Row::Completion {
                prompt,
                completion,
                tools,
            } if tokenizer.has_chat_template() => {
                let messages = [message("user", prompt), message("assistant", completion)];
                chat(&messages, tools.as_deref(), tokenizer, mask_prompt)?
            }
            Row::Completion {
                prompt, completion, ..
            } => {
                let masked_bytes = if mask_prompt { prompt.len() } else { 0 };
                plain(&format!("{prompt}{completion}"), masked_bytes, tokenizer)?
            }
        };
        if let Some(first) = trained.first_mut() {
            *first = false;
        }
        Ok(Self {
            tokens: encoded,
            trained,
            line,
        })
    }

    /// How many tokens the loss counts.
    pub fn trained_tokens(&self) -> usize {
        self.trained.iter().filter(|&&trained| trained).count()
    }

    /// Drops everything behind the first `max_tokens` tokens; gives how many that were.
    pub fn truncate(&mut self, max_tokens: usize) -> usize {
        let dropped = self.tokens.len().saturating_sub(max_tokens);
        self.tokens.truncate(max_tokens);
        self.trained.truncate(max_tokens);
        dropped
    }
}

type TokensAndMask = (Vec<u32>, Vec<bool>);

/// Text between the tokenizer's own special tokens, trained from byte `masked_bytes` on, closed by
/// the end-of-sequence token.
fn plain(text: &str, masked_bytes: usize, tokenizer: &Tokenizer) -> Result<TokensAndMask> {
    let Some((_, eos)) = tokenizer.eos_token() else {
        return Err(Error::NoEosToken {
            folder: tokenizer.folder().to_owned(),
        });
    };
    let Encoded { mut ids, ranges } = tokenizer.encode_with_offsets(text, true)?;
    let completion = [Range {
        start: masked_bytes,
        end: text.len(),
    }];
    let mut trained = match masked_bytes {
        0 => vec![true; ids.len()],
        _ => ranges
            .iter()
            .map(|range| overlaps(range, &completion))
            .collect(),
    };
    if ids.last() != Some(&eos) {
        ids.push(eos);
        trained.push(true);
    } else if let Some(last) = trained.last_mut() {
        // Added by the tokenizer, it stands for no bytes; it ends the completion all the same.
        *last = true;
    }
    Ok((ids, trained))
}

/// What the chat template renders.
fn chat(
    messages: &[Message],
    tools: Option<&[Value]>,
    tokenizer: &Tokenizer,
    mask_prompt: bool,
) -> std::result::Result<TokensAndMask, RowError> {
    if !tokenizer.has_chat_template() {
        return Err(RowError::NoChatTemplate {
            folder: tokenizer.folder().to_owned(),
        });
    }
    if !mask_prompt {
        let text = tokenizer.apply_chat_template(messages, tools, false)?;
        let ids = tokenizer.encode_raw(&text)?;
        let trained = vec![true; ids.len()];
        return Ok((ids, trained));
    }
    let turns = assistant_turns(tokenizer, messages, tools)?;
    let Encoded { ids, ranges } = tokenizer.encode_with_offsets(&turns.text, false)?;
    let trained = ranges
        .iter()
        .map(|range| overlaps(range, &turns.assistant))
        .collect();
    Ok((ids, trained))
}

fn message(role: &str, content: &str) -> Message {
    Map::from_iter([
        ("role".to_owned(), Value::from(role)),
        ("content".to_owned(), Value::from(content)),
    ])
}

#[cfg(test)]
mod tests;
