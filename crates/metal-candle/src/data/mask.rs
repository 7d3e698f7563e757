//! Parts of a rendered conversation that the assistant wrote.
//!
//! Few templates mark it (`{% generation %}`), and those that do disagree about the header before
//! and the line break behind a turn. So turns are found by rendering: the assistant's turn `i`
//! starts where the conversation before it, rendered with a generation prompt, ends, and it ends
//! where the conversation up to and with it ends.
//!
//! Some templates render history differently from the last turn: Qwen3 drops earlier reasoning,
//! Mistral moves tools to the last user message, gpt-oss closes the last turn with another token.
//! Then a character that nobody writes is put at the end of a message, and what follows it is
//! compared between the conversation so far and the whole one.

mod finder;
mod last_message;
mod marker;
mod prefix;

use std::ops::Range;

use finder::Finder;
pub(super) use last_message::last_message;
use marker::unused_characters;

use super::error::RowError;
use super::json::Json;
use super::template::Message;
use super::tokenizer::Tokenizer;

/// A rendered conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turns {
    /// The whole conversation as text.
    pub text: String,
    /// The assistant's turns as byte ranges of `text`: from behind the generation prompt to the
    /// end-of-turn token, without blanks behind it.
    pub assistant: Vec<Range<usize>>,
}

/// Renders a conversation and finds every assistant turn in it.
///
/// # Errors
/// [`RowError::TurnNotFound`] when the template hides where a turn starts or ends; the template's
/// own errors.
pub fn assistant_turns(
    tokenizer: &Tokenizer,
    messages: &[Message],
    tools: Option<&[Json]>,
) -> Result<Turns, RowError> {
    let text = tokenizer.apply_chat_template(messages, tools, false)?;
    let [marker, other_marker] = unused_characters(&text);
    let finder = Finder {
        tokenizer,
        messages,
        tools,
        marker,
        other_marker,
        full: &text,
    };
    let mut assistant: Vec<Range<usize>> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        if message.get("role").and_then(Json::as_str) == Some("assistant") {
            assistant.push(finder.turn(index)?);
        }
    }
    Ok(Turns { text, assistant })
}

/// Whether a token that stands for the bytes `token` belongs to one of `spans`.
///
/// A token that begins before a span and reaches into it counts; so does an empty range at the end
/// of blanks inside.
pub(super) fn overlaps(token: &Range<usize>, spans: &[Range<usize>]) -> bool {
    spans.iter().any(|span| {
        if token.is_empty() {
            span.start < token.start && token.start <= span.end
        } else {
            token.start < span.end && span.start < token.end
        }
    })
}

#[cfg(test)]
mod tests;
