//! Rows of preference data in tokens, cut as TRL's `DPOTrainer` does: the prompt alone and with each completion becomes
//! tokens, and the completions begin where the first of these sequences differ.

use super::chat;
use super::error::{Error, Result, RowError};
use super::example::{Example, message};
use super::json::Json;
use super::notes::{Note, Notes};
use super::row::Content;
use super::template::Message;
use super::tokenizer::Tokenizer;

/// The worse completion of an example of preference data, whose own tokens are the prompt and the better one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Number of tokens of the prompt, with which both sequences begin.
    pub n_prompt: usize,
    /// Token ids of the prompt and the worse completion.
    pub rejected: Vec<u32>,
}

/// Reason why nothing can be learnt from a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Useless {
    /// The completions are the same.
    Identical,
    /// The prompt leaves no room for a completion, or a completion has no token that something stands before.
    NoRoom,
}

impl Example {
    /// Whether nothing can be learnt from this example, a pair whose completions are the same or have no room.
    pub(crate) fn is_useless_pair(&self) -> bool {
        self.useless_pair().is_some()
    }

    /// Reason why nothing can be learnt from this example, where it is a pair.
    pub(super) fn useless_pair(&self) -> Option<Useless> {
        let Pair { n_prompt, rejected } = self.pair.as_ref()?;
        // Nothing predicts the first token: without a prompt a completion of one token has no loss.
        let n_given = (*n_prompt).max(1);
        match (
            n_given >= self.tokens.len().min(rejected.len()),
            *rejected == self.tokens,
        ) {
            (true, _) => Some(Useless::NoRoom),
            (false, true) => Some(Useless::Identical),
            (false, false) => None,
        }
    }
}

/// Prompt, better and worse completion.
type Three<T> = [T; 3];

/// Parts of a row as they become tokens.
enum Parts {
    Texts(Three<String>),
    Messages(Three<Vec<Message>>),
}

/// Converter of rows of preference data.
pub(super) struct Pairs<'a> {
    pub(super) tokenizer: &'a Tokenizer,
    /// Whether the prompt of the better completion is trained.
    pub(super) trains_prompt: bool,
    pub(super) notes: &'a mut Notes,
    pub(super) line: usize,
}

impl Pairs<'_> {
    /// Tokens of a prompt, where there is one, and of the better and the worse completion.
    pub(super) fn example(
        mut self,
        (prompt, chosen, rejected): (Option<&Content>, &Content, &Content),
        tools: Option<&[Json]>,
    ) -> std::result::Result<Example, RowError> {
        let has_template = self.tokenizer.has_chat_template();
        let [prompt, chosen, rejected] = match parts(prompt, chosen, rejected, has_template) {
            Parts::Texts(texts) => {
                if tools.is_some() {
                    self.notes.add(Note::UnreadTools, self.line);
                }
                self.plain(texts)?
            }
            Parts::Messages(messages) => self.chat(messages, tools)?,
        };
        Ok(self.cut(&prompt, chosen, rejected))
    }

    fn cut(self, prompt: &[u32], chosen: Vec<u32>, rejected: Vec<u32>) -> Example {
        let n_prompt = common(prompt, &chosen).min(common(prompt, &rejected));
        if n_prompt < prompt.len() {
            self.notes.add(Note::CutPrompt, self.line);
        }
        let is_trained = |i| i > 0 && (i >= n_prompt || self.trains_prompt);
        Example {
            trained: (0..chosen.len()).map(is_trained).collect(),
            tokens: chosen,
            line: self.line,
            pair: Some(Pair { n_prompt, rejected }),
        }
    }

    /// Texts between the tokenizer's own special tokens, the completions closed by the end-of-sequence token.
    fn plain(&mut self, [prompt, chosen, rejected]: Three<String>) -> Result<Three<Vec<u32>>> {
        let Some((_, eos)) = self.tokenizer.eos_token() else {
            return Err(Error::NoEosToken {
                folder: self.tokenizer.folder().to_owned(),
            });
        };
        let mut open = self.encode(&prompt)?;
        if open.last() == Some(&eos) {
            open.pop();
        }
        let closed = |mut ids: Vec<u32>| {
            if ids.last() != Some(&eos) {
                ids.push(eos);
            }
            ids
        };
        let chosen = closed(self.encode(&(prompt.clone() + &chosen))?);
        let rejected = closed(self.encode(&(prompt + &rejected))?);
        Ok([open, chosen, rejected])
    }

    fn encode(&mut self, text: &str) -> Result<Vec<u32>> {
        let plain = self.tokenizer.encode_plain(text)?;
        if plain.bos_was_doubled {
            self.notes.add(Note::Beginning, self.line);
        }
        if plain.eos_was_doubled {
            self.notes.add(Note::End, self.line);
        }
        Ok(plain.encoded.ids)
    }

    /// What the chat template renders: the prompt with the header of the answer, and both conversations.
    fn chat(
        &mut self,
        [prompt, chosen, rejected]: Three<Vec<Message>>,
        tools: Option<&[Json]>,
    ) -> std::result::Result<Three<Vec<u32>>, RowError> {
        if !self.tokenizer.has_chat_template() {
            return Err(RowError::NoChatTemplate {
                folder: self.tokenizer.folder().to_owned(),
            });
        }
        let n_prompt = prompt.len();
        let with = |completion: &[Message]| [&prompt[..], completion].concat();
        let chosen = self.prepare(&with(&chosen), n_prompt, tools)?;
        let rejected = self.prepare(&with(&rejected), n_prompt, tools)?;
        let ids = |messages: &[Message], is_open: bool| {
            let text = self
                .tokenizer
                .apply_chat_template(messages, tools, is_open)?;
            self.tokenizer.encode_raw(&text)
        };
        let prompt = match &chosen[..n_prompt] {
            [] => vec![],
            prompt => ids(prompt, true)?,
        };
        Ok([prompt, ids(&chosen, false)?, ids(&rejected, false)?])
    }

    /// Messages as the template takes them. A completion is learnt as a whole: marks of its turns are refused.
    fn prepare(
        &mut self,
        messages: &[Message],
        n_prompt: usize,
        tools: Option<&[Json]>,
    ) -> std::result::Result<Vec<Message>, RowError> {
        let notes = (&mut *self.notes, self.line);
        let chat = chat::prepare(messages, tools, self.tokenizer, true, notes)?;
        let n_before = chat.messages[..n_prompt].iter();
        let n_before = n_before
            .filter(|message| chat::is_assistants(message))
            .count();
        match chat
            .trained_turns
            .iter()
            .skip(n_before)
            .all(|trained| *trained)
        {
            true => Ok(chat.messages),
            false => Err(RowError::MarkedCompletion),
        }
    }
}

/// Checks that a row has both completions. What is no object is told by who reads it.
pub(super) fn check_keys(row: &Json) -> std::result::Result<(), RowError> {
    let Some(row) = row.as_object() else {
        return Ok(());
    };
    let is_absent = |key: &&'static str| row.get(*key).is_none_or(Json::is_null);
    match ["chosen", "rejected"].iter().copied().find(is_absent) {
        Some(missing) => Err(RowError::NotPreference { missing }),
        None => Ok(()),
    }
}

/// Number of tokens that both begin with.
fn common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Parts of a row. Texts with a prompt of their own are a user's and an assistant's message where there is a chat template,
/// as those of rows of `prompt` and `completion` are.
fn parts(
    prompt: Option<&Content>,
    chosen: &Content,
    rejected: &Content,
    has_template: bool,
) -> Parts {
    use Content::Text;
    match (prompt, chosen, rejected) {
        (None, Text(chosen), Text(rejected)) => Parts::Texts(split_texts(chosen, rejected)),
        (Some(Text(prompt)), Text(chosen), Text(rejected)) if !has_template => {
            Parts::Texts([prompt, chosen, rejected].map(Clone::clone))
        }
        (prompt, chosen, rejected) => {
            let [chosen, rejected] = [chosen, rejected].map(|said| messages(said, "assistant"));
            Parts::Messages(match prompt {
                Some(prompt) => [messages(prompt, "user"), chosen, rejected],
                None => split(&chosen, &rejected),
            })
        }
    }
}

fn messages(content: &Content, role: &str) -> Vec<Message> {
    match content {
        Content::Messages(messages) => messages.clone(),
        Content::Text(text) => vec![message(role, text)],
    }
}

/// Takes what both begin with for the prompt; a blank before the difference belongs to the completions.
fn split_texts(chosen: &str, rejected: &str) -> Three<String> {
    let [a, b] = [chosen, rejected].map(|text| text.chars().collect::<Vec<_>>());
    let mut n = n_shared(&a, &b);
    if n > 0 && a[n - 1] == ' ' {
        n -= 1;
    }
    [&a[..n], &a[n..], &b[n..]].map(|chars| chars.iter().collect())
}

fn split(chosen: &[Message], rejected: &[Message]) -> Three<Vec<Message>> {
    let n = n_shared(chosen, rejected);
    [&chosen[..n], &chosen[n..], &rejected[n..]].map(<[_]>::to_vec)
}

/// Number of items that both begin with, one of each at least being left.
fn n_shared<T: PartialEq>(a: &[T], b: &[T]) -> usize {
    let most = a.len().min(b.len()).saturating_sub(1);
    let shared = a.iter().zip(b).take(most);
    shared.take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests;
