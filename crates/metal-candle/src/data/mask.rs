//! Which parts of a rendered conversation the assistant wrote.
//!
//! Few templates mark it (`{% generation %}`), so turns are found by rendering: the assistant's turn `i` starts where
//! the conversation before it, rendered with a generation prompt, ends, and ends where the conversation up to and with
//! it ends. A template that renders history differently from the last turn (Qwen3 drops earlier reasoning, Mistral
//! moves tools to the last user message) breaks that; then a character nobody writes is put at the end of a message,
//! and what follows it is compared between the conversation so far and the whole one.

use std::ops::Range;

use serde_json::Value;

use super::error::{Error, RowError};
use super::template::Message;
use super::tokenizer::Tokenizer;

/// A rendered conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turns {
    /// The whole conversation as text.
    pub text: String,
    /// The assistant's turns as byte ranges of `text`: from behind the generation prompt to the end-of-turn token,
    /// without blanks behind it.
    pub assistant: Vec<Range<usize>>,
}

/// Renders a conversation and finds every assistant turn in it.
///
/// # Errors
/// [`RowError::TurnNotFound`] when the template hides where a turn starts or ends; the template's own errors.
pub fn assistant_turns(
    tokenizer: &Tokenizer,
    messages: &[Message],
    tools: Option<&[Value]>,
) -> Result<Turns, RowError> {
    let text = tokenizer.apply_chat_template(messages, tools, false)?;
    let finder = Finder {
        tokenizer,
        messages,
        tools,
        marker: unused_character(&text),
        full: &text,
    };
    let mut assistant = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        if message.get("role").and_then(Value::as_str) == Some("assistant") {
            assistant.push(finder.turn(index)?);
        }
    }
    Ok(Turns { text, assistant })
}

/// Whether a token that stands for the bytes `token` belongs to one of `spans`.
///
/// A token that begins before a span and reaches into it counts; so does an empty range at the end of blanks inside.
pub fn overlaps(token: &Range<usize>, spans: &[Range<usize>]) -> bool {
    spans.iter().any(|span| {
        if token.is_empty() {
            span.start < token.start && token.start <= span.end
        } else {
            token.start < span.end && span.start < token.end
        }
    })
}

/// A character of the private use area that the text does not hold.
fn unused_character(text: &str) -> char {
    ('\u{E000}'..='\u{F8FF}')
        .find(|&c| !text.contains(c))
        .unwrap_or('\u{E000}')
}

struct Finder<'a> {
    tokenizer: &'a Tokenizer,
    messages: &'a [Message],
    tools: Option<&'a [Value]>,
    marker: char,
    full: &'a str,
}

impl Finder<'_> {
    fn turn(&self, index: usize) -> Result<Range<usize>, RowError> {
        let start = self.start(index)?.ok_or(RowError::TurnNotFound {
            index,
            edge: "starts",
        })?;
        let end = self.end(index)?.ok_or(RowError::TurnNotFound {
            index,
            edge: "ends",
        })?;
        Ok(start..end.max(start))
    }

    fn start(&self, index: usize) -> Result<Option<usize>, Error> {
        if index == 0 {
            return self.start_of_first();
        }
        let before = self.render(&self.messages[..index], true)?;
        if self.full.starts_with(&before) {
            return Ok(Some(before.len()));
        }
        self.start_by_marker(index)
    }

    fn end(&self, index: usize) -> Result<Option<usize>, Error> {
        let so_far = self.render(&self.messages[..=index], false)?;
        if self.full.starts_with(&so_far) {
            return Ok(Some(so_far.trim_end().len()));
        }
        self.end_by_marker(index)
    }

    /// Behind the previous message's end come the end of its turn and the generation prompt, in the whole conversation
    /// as in the one so far. History may lack the last part of the prompt (an empty think block).
    fn start_by_marker(&self, index: usize) -> Result<Option<usize>, Error> {
        for place in PLACES {
            let Some(marked) = self.marked(index - 1, place) else {
                continue;
            };
            let Some(actual) = self.after_marker(&marked, false)? else {
                continue;
            };
            let Some(expected) = self.after_marker(&marked[..index], true)? else {
                continue;
            };
            let Some(end_of_turn) = self.after_marker(&marked[..index], false)? else {
                continue;
            };
            let header_from = common_prefix(&end_of_turn, &expected);
            let shared = shared_prefix(&actual, &expected)
                .filter(|&shared| shared == expected.len() || shared > header_from);
            return Ok(shared.and_then(|shared| self.position_of(&actual[shared..])));
        }
        Ok(None)
    }

    /// Behind the turn's content comes what closes it (tool calls, the end-of-turn token), in the whole conversation as
    /// in the one so far.
    fn end_by_marker(&self, index: usize) -> Result<Option<usize>, Error> {
        for place in PLACES {
            let Some(marked) = self.marked(index, place) else {
                continue;
            };
            let Some(actual) = self.after_marker(&marked, false)? else {
                continue;
            };
            let Some(expected) = self.after_marker(&marked[..=index], false)? else {
                continue;
            };
            let shared = shared_prefix(&actual, expected.trim_end());
            let shared = shared.map(|shared| actual[..shared].trim_end().len());
            return Ok(shared.and_then(|shared| self.position_of(&actual[shared..])));
        }
        Ok(None)
    }

    /// Nothing comes before the first message that could be rendered: its turn starts behind the last generation prompt
    /// in front of its content.
    fn start_of_first(&self) -> Result<Option<usize>, Error> {
        let first = &self.messages[..1];
        let (with, without) = (self.render(first, true)?, self.render(first, false)?);
        let Some(prompt) = with.strip_prefix(&without) else {
            return Ok(None);
        };
        let mut marked = self.messages.to_vec();
        marked[0].insert("content".to_owned(), Value::from(self.marker.to_string()));
        let rendered = self.render(&marked, false)?;
        let Some((before, _)) = rendered.split_once(self.marker) else {
            return Ok(None);
        };
        let start = before.rfind(prompt).map(|at| at + prompt.len());
        Ok(start.filter(|&start| self.full.starts_with(&before[..start])))
    }

    fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String, Error> {
        self.tokenizer
            .apply_chat_template(messages, self.tools, add_generation_prompt)
    }

    /// All messages, with the marker put into one of them.
    fn marked(&self, index: usize, place: Place) -> Option<Vec<Message>> {
        let mut messages = self.messages.to_vec();
        place(&mut messages[index], self.marker)?;
        Some(messages)
    }

    /// What the rendered messages hold behind the marker.
    fn after_marker(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<Option<String>, Error> {
        let rendered = self.render(messages, add_generation_prompt)?;
        Ok(rendered
            .rsplit_once(self.marker)
            .map(|(_, after)| after.to_owned()))
    }

    /// Where the conversation goes on with `rest`, to its end.
    fn position_of(&self, rest: &str) -> Option<usize> {
        self.full.strip_suffix(rest).map(str::len)
    }
}

/// Puts the marker into a message; `None` when the message has no such place.
type Place = fn(&mut Message, char) -> Option<()>;

/// Where a template may show the marker: some render no content beside tool calls.
const PLACES: [Place; 2] = [mark_content, mark_tool_call];

fn mark_content(message: &mut Message, marker: char) -> Option<()> {
    let content = message.entry("content").or_insert(Value::Null);
    match content {
        Value::String(text) => text.push(marker),
        Value::Null => *content = Value::from(marker.to_string()),
        Value::Array(parts) => {
            let text = parts
                .iter_mut()
                .rev()
                .find_map(|part| part.get_mut("text"))?;
            *text = Value::from(format!("{}{marker}", text.as_str()?));
        }
        _ => return None,
    }
    Some(())
}

fn mark_tool_call(message: &mut Message, marker: char) -> Option<()> {
    let call = message.get_mut("tool_calls")?.as_array_mut()?.last_mut()?;
    let function = if call.get("function").is_some() {
        call.get_mut("function")?
    } else {
        call
    };
    let name = function.get_mut("name")?;
    *name = Value::from(format!("{}{marker}", name.as_str()?));
    Some(())
}

/// How much of `expected` `actual` begins with, in bytes: all of it, or as far as the last boundary between words.
///
/// A common prefix may end inside of a marker (`<|im_end|>` and `<|im_start|>` share `<|im_`): only what ends in a
/// blank or a closing bracket is taken.
fn shared_prefix(actual: &str, expected: &str) -> Option<usize> {
    let common = common_prefix(actual, expected);
    if common == expected.len() {
        return Some(common);
    }
    let is_boundary = |c: char| c.is_whitespace() || matches!(c, '>' | ']' | '}' | ')');
    let last = actual[..common]
        .char_indices()
        .rev()
        .find(|&(_, c)| is_boundary(c));
    last.map(|(at, c)| at + c.len_utf8())
}

/// Length in bytes of the longest common prefix.
fn common_prefix(a: &str, b: &str) -> usize {
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b);
    same.map(|(c, _)| c.len_utf8()).sum()
}

#[cfg(test)]
mod tests {}
