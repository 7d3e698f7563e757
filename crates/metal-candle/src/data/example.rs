//! One row as the model sees it: tokens, and which of them the loss counts.

use std::ops::Range;

use super::bos::Plain;
use super::chat;
use super::error::{Error, Result, RowError};
use super::json::Json;
use super::mask::{assistant_turns, overlaps};
use super::notes::{Note, Notes};
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
    /// A message marked with `weight` 0, `train` or `training` false is not trained.
    ///
    /// # Errors
    /// When the row cannot be masked or a mark cannot be honoured, when it holds what no text can be
    /// made of, and when the tokenizer or its chat template fails.
    pub fn from_row(
        row: &Row,
        line: usize,
        tokenizer: &Tokenizer,
        mask_prompt: bool,
    ) -> std::result::Result<Self, RowError> {
        Self::noting(row, tokenizer, mask_prompt, (&mut Notes::default(), line))
    }

    /// [`from_row`](Self::from_row), with notes of what is worth telling about the row.
    pub(super) fn noting(
        row: &Row,
        tokenizer: &Tokenizer,
        mask_prompt: bool,
        (notes, line): (&mut Notes, usize),
    ) -> std::result::Result<Self, RowError> {
        let converter = Converter {
            tokenizer,
            mask_prompt,
            notes,
            line,
        };
        let (tokens, mut trained) = converter.row(row)?;
        if let Some(first) = trained.first_mut() {
            *first = false;
        }
        Ok(Self {
            tokens,
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

/// Converter of a row into tokens.
struct Converter<'a> {
    tokenizer: &'a Tokenizer,
    mask_prompt: bool,
    notes: &'a mut Notes,
    line: usize,
}

impl Converter<'_> {
    fn row(self, row: &Row) -> std::result::Result<TokensAndMask, RowError> {
        match row {
            Row::Text(_) if self.mask_prompt => Err(RowError::MaskedText),
            Row::Text(text) => Ok(self.plain(text, 0)?),
            Row::Messages { messages, tools } => self.chat(messages, tools.as_deref()),
            Row::Completion {
                prompt,
                completion,
                tools,
            } if self.tokenizer.has_chat_template() => {
                let messages = [message("user", prompt), message("assistant", completion)];
                self.chat(&messages, tools.as_deref())
            }
            Row::Completion {
                prompt,
                completion,
                tools,
            } => {
                if tools.is_some() {
                    self.notes.add(Note::UnreadTools, self.line);
                }
                let masked_bytes = if self.mask_prompt { prompt.len() } else { 0 };
                Ok(self.plain(&format!("{prompt}{completion}"), masked_bytes)?)
            }
        }
    }

    /// Text between the tokenizer's own special tokens, trained from byte `masked_bytes` on, closed
    /// by the end-of-sequence token.
    fn plain(self, text: &str, masked_bytes: usize) -> Result<TokensAndMask> {
        let Some((_, eos)) = self.tokenizer.eos_token() else {
            return Err(Error::NoEosToken {
                folder: self.tokenizer.folder().to_owned(),
            });
        };
        let Encoded { mut ids, ranges } = self.encode(text)?;
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

    fn encode(self, text: &str) -> Result<Encoded> {
        let Plain {
            encoded,
            bos_was_doubled,
            eos_was_doubled,
        } = self.tokenizer.encode_plain(text)?;
        if bos_was_doubled {
            self.notes.add(Note::Beginning, self.line);
        }
        if eos_was_doubled {
            self.notes.add(Note::End, self.line);
        }
        Ok(encoded)
    }

    /// What the chat template renders. It writes special tokens itself.
    fn chat(
        self,
        messages: &[Message],
        tools: Option<&[Json]>,
    ) -> std::result::Result<TokensAndMask, RowError> {
        let tokenizer = self.tokenizer;
        if !tokenizer.has_chat_template() {
            return Err(RowError::NoChatTemplate {
                folder: tokenizer.folder().to_owned(),
            });
        }
        let notes = (self.notes, self.line);
        let chat = chat::prepare(messages, tools, tokenizer, self.mask_prompt, notes)?;
        if !self.mask_prompt {
            let text = tokenizer.apply_chat_template(&chat.messages, tools, false)?;
            let ids = tokenizer.encode_raw(&text)?;
            let trained = vec![true; ids.len()];
            return Ok((ids, trained));
        }
        let turns = assistant_turns(tokenizer, &chat.messages, tools)?;
        let turns_and_marks = turns.assistant.into_iter().zip(chat.trained_turns);
        let trained_turns: Vec<Range<usize>> = turns_and_marks
            .filter_map(|(turn, is_trained)| is_trained.then_some(turn))
            .collect();
        let Encoded { ids, ranges } = tokenizer.encode_with_offsets(&turns.text, false)?;
        let trained = ranges
            .iter()
            .map(|range| overlaps(range, &trained_turns))
            .collect();
        Ok((ids, trained))
    }
}

fn message(role: &str, content: &str) -> Message {
    Message::from_iter([
        ("role".to_owned(), Json::from(role)),
        ("content".to_owned(), Json::from(content)),
    ])
}

#[cfg(test)]
mod tests;
