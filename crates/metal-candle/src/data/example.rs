//! One row as the model sees it: tokens, and which of them the loss counts.

use std::ops::Range;

use super::bos::Plain;
use super::chat::{self, Chat};
use super::convention::{Convention, Mask};
use super::error::{Error, Result, RowError};
use super::json::Json;
use super::mask::{assistant_turns, last_message, overlaps};
use super::notes::{Note, Notes};
use super::pair::{Pair, Pairs};
use super::row::{PREFERENCE, Row};
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
    /// The worse completion, where the row is preference data.
    pub pair: Option<Pair>,
}

impl Example {
    /// Turns a row into tokens.
    ///
    /// * `text`: the tokenizer's own special tokens, the text, and the end-of-sequence token unless
    ///   it is there already.
    /// * `messages`: what the chat template renders.
    /// * `prompt` and `completion`: a user's and an assistant's message, or without a chat template
    ///   like `text`.
    /// * `chosen` and `rejected`: the [`Pair`] of both, with a prompt of texts as above.
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
        let convention = match row {
            Row::Preference { .. } => Convention::Pairs,
            _ => Convention::Standard,
        };
        let mask = convention.mask(mask_prompt);
        Self::noting(row, tokenizer, mask, (&mut Notes::default(), line))
    }

    /// [`from_row`](Self::from_row), with notes of what is worth telling about the row.
    pub(super) fn noting(
        row: &Row,
        tokenizer: &Tokenizer,
        mask: impl Into<Mask>,
        (notes, line): (&mut Notes, usize),
    ) -> std::result::Result<Self, RowError> {
        let converter = Converter {
            tokenizer,
            mask: mask.into(),
            notes,
            line,
        };
        converter.example(row)
    }

    /// How many tokens the loss counts, those of the worse completion of a pair as well.
    pub fn trained_tokens(&self) -> usize {
        let rejected = |pair: &Pair| pair.rejected.len().saturating_sub(pair.n_prompt.max(1));
        let own = self.trained.iter().filter(|&&trained| trained).count();
        own + self.pair.as_ref().map_or(0, rejected)
    }

    /// Number of tokens, of a pair of its longer sequence.
    pub fn longest(&self) -> usize {
        let rejected = self.pair.as_ref().map_or(0, |pair| pair.rejected.len());
        self.tokens.len().max(rejected)
    }

    /// Token ids, those of a pair's other sequence as well.
    pub fn all_tokens(&self) -> impl Iterator<Item = u32> {
        let rejected = self.pair.iter().flat_map(|pair| &pair.rejected);
        self.tokens.iter().chain(rejected).copied()
    }

    /// Drops everything behind the first `max_tokens` tokens of each sequence; gives how many that were.
    pub fn truncate(&mut self, max_tokens: usize) -> usize {
        self.trained.truncate(max_tokens);
        let rejected = self.pair.as_mut().map(|pair| &mut pair.rejected);
        let sequences = [&mut self.tokens].into_iter().chain(rejected);
        let dropped = sequences.map(|tokens| {
            let dropped = tokens.len().saturating_sub(max_tokens);
            tokens.truncate(max_tokens);
            dropped
        });
        dropped.sum()
    }
}

type TokensAndMask = (Vec<u32>, Vec<bool>);

/// Converter of a row into tokens.
struct Converter<'a> {
    tokenizer: &'a Tokenizer,
    mask: Mask,
    notes: &'a mut Notes,
    line: usize,
}

impl<'a> Converter<'a> {
    fn example(self, row: &Row) -> std::result::Result<Example, RowError> {
        let line = self.line;
        if let (
            Row::Preference {
                prompt,
                chosen,
                rejected,
                tools,
            },
            Mask::Pairs { trains_prompt },
        ) = (row, self.mask)
        {
            let parts = (prompt.as_ref(), chosen, rejected);
            return self.pairs(trains_prompt).example(parts, tools.as_deref());
        }
        let (tokens, mut trained) = self.sequence(row)?;
        if let Some(first) = trained.first_mut() {
            *first = false;
        }
        Ok(Example {
            tokens,
            trained,
            line,
            pair: None,
        })
    }

    /// Tokens of a row that is one sequence.
    fn sequence(self, row: &Row) -> std::result::Result<TokensAndMask, RowError> {
        let tools = row.tools();
        Ok(match row {
            _ if matches!(self.mask, Mask::Pairs { .. }) => {
                let missing = "chosen";
                return Err(RowError::NotPreference { missing });
            }
            Row::Preference { .. } => {
                let (keys, what) = PREFERENCE;
                return Err(RowError::Preference { keys, what });
            }
            Row::Text(_) if self.mask != Mask::Nothing => return Err(RowError::MaskedText),
            Row::Text(text) => self.plain(text, 0)?,
            Row::Messages { messages, .. } => self.chat(messages, tools, 0)?,
            Row::Exchange {
                prompt, completion, ..
            } => self.chat(&[&prompt[..], completion].concat(), tools, prompt.len())?,
            Row::Completion {
                prompt, completion, ..
            } if self.tokenizer.has_chat_template() => {
                let messages = [message("user", prompt), message("assistant", completion)];
                self.chat(&messages, tools, 0)?
            }
            Row::Completion {
                prompt, completion, ..
            }
            | Row::Continuation { prompt, completion } => {
                if tools.is_some() {
                    self.notes.add(Note::UnreadTools, self.line);
                }
                self.continued(prompt, completion)?
            }
        })
    }

    fn pairs(self, trains_prompt: bool) -> Pairs<'a> {
        Pairs {
            tokenizer: self.tokenizer,
            trains_prompt,
            notes: self.notes,
            line: self.line,
        }
    }

    fn continued(self, prompt: &str, completion: &str) -> Result<TokensAndMask> {
        let masked_bytes = match self.mask {
            Mask::Nothing => 0,
            _ => prompt.len(),
        };
        self.plain(&format!("{prompt}{completion}"), masked_bytes)
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

    /// What the chat template renders. It writes special tokens itself. The first `n_given` messages are a prompt,
    /// whoever says them.
    fn chat(
        self,
        messages: &[Message],
        tools: Option<&[Json]>,
        n_given: usize,
    ) -> std::result::Result<TokensAndMask, RowError> {
        let tokenizer = self.tokenizer;
        if !tokenizer.has_chat_template() {
            return Err(RowError::NoChatTemplate {
                folder: tokenizer.folder().to_owned(),
            });
        }
        let (notes, is_masked) = ((self.notes, self.line), self.mask != Mask::Nothing);
        let mut chat = chat::prepare(messages, tools, tokenizer, is_masked, notes)?;
        chat.give(n_given);
        match self.mask {
            Mask::Nothing => {
                let text = tokenizer.apply_chat_template(&chat.messages, tools, false)?;
                let ids = tokenizer.encode_raw(&text)?;
                let trained = vec![true; ids.len()];
                Ok((ids, trained))
            }
            Mask::AllButLastMessage => {
                let (ids, start) = last_message(tokenizer, &chat.messages, tools)?;
                let is_trained = |i| i >= start && chat.is_last_trained();
                let trained = (0..ids.len()).map(is_trained).collect();
                Ok((ids, trained))
            }
            Mask::AllButTurns | Mask::Pairs { .. } => self::turns(chat, tools, tokenizer),
        }
    }
}

/// Tokens of a conversation, of which the assistant's turns are trained.
fn turns(
    chat: Chat,
    tools: Option<&[Json]>,
    tokenizer: &Tokenizer,
) -> std::result::Result<TokensAndMask, RowError> {
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

pub(super) fn message(role: &str, content: &str) -> Message {
    Message::from_iter([
        ("role".to_owned(), Json::from(role)),
        ("content".to_owned(), Json::from(content)),
    ])
}

#[cfg(test)]
mod tests;
