//! Conversations of rows, made ready for the chat template: marks of what is trained taken out,
//! media refused, content in parts joined where the template reads none, and every key that the
//! template leaves out noted.

mod content;
mod marks;
mod parts;
mod reads;
#[cfg(test)]
mod tests;

use super::error::RowError;
use super::json::{Json, without_nulls};
use super::notes::{Note, Notes};
use super::template::Message;
use super::tokenizer::Tokenizer;
use reads::Reads;

/// Names under which a message carries its reasoning. The template is given the first two for any
/// of them.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// A conversation that can be rendered.
pub(super) struct Chat {
    pub(super) messages: Vec<Message>,
    /// Whether the assistant's turns are trained, in their order.
    pub(super) trained_turns: Vec<bool>,
}

impl Chat {
    /// Trains nothing in the first `n` messages.
    pub(super) fn give(&mut self, n: usize) {
        let given = self.messages.iter().take(n);
        let n_turns = given.filter(|message| is_assistants(message)).count();
        self.trained_turns[..n_turns].fill(false);
    }

    /// Whether no mark says that the last message is not trained.
    pub(super) fn is_last_trained(&self) -> bool {
        let is_assistant = self.messages.last().is_some_and(is_assistants);
        !is_assistant || self.trained_turns.last() != Some(&false)
    }
}

/// Whether the assistant says it.
pub(super) fn is_assistants(message: &Message) -> bool {
    message.get("role").and_then(Json::as_str) == Some("assistant")
}

/// Prepares the conversation of the row on `line`.
///
/// # Errors
/// For media, marks that cannot be honoured, and values that no text can be made of.
pub(super) fn prepare(
    messages: &[Message],
    tools: Option<&[Json]>,
    tokenizer: &Tokenizer,
    mask_prompt: bool,
    (notes, line): (&mut Notes, usize),
) -> Result<Chat, RowError> {
    let mut messages = without_nulls(messages).into_owned();
    let reads = Reads::of(
        tokenizer
            .template_source(tools.is_some())
            .unwrap_or_default(),
    );
    let trained_turns = marks::take(&mut messages, mask_prompt)?;
    parts::refuse_media(&messages)?;
    for message in &mut messages {
        alias_reasoning(message, &reads);
    }
    check_keys(&messages, &reads, (notes, line))?;
    check_tools(tools, &reads, (notes, line))?;
    content::check(&messages)?;
    if parts::join_if_unread(&mut messages, tools, tokenizer)? {
        notes.add(Note::JoinedParts, line);
    }
    content::fill(&mut messages, tools, tokenizer)?;
    Ok(Chat {
        messages,
        trained_turns,
    })
}

/// Gives reasoning to a template that knows it as `reasoning` alone.
fn alias_reasoning(message: &mut Message, reads: &Reads) {
    if reads.key("reasoning_content") || reads.key("thinking") || message.contains_key("reasoning")
    {
        return;
    }
    let reasoning = REASONING
        .iter()
        .find_map(|name| message.get(*name).cloned());
    if let Some(reasoning) = reasoning.filter(|_| reads.key("reasoning")) {
        message.insert("reasoning".to_owned(), reasoning);
    }
}

/// Notes keys that the template does not read, and refuses what cannot become text in those that it
/// does.
fn check_keys(
    messages: &[Message],
    reads: &Reads,
    (notes, line): (&mut Notes, usize),
) -> Result<(), RowError> {
    for (i, message) in messages.iter().enumerate() {
        for (key, value) in message {
            let is_read = match REASONING.contains(&key.as_str()) {
                true => REASONING.iter().any(|name| reads.key(name)),
                false => reads.key(key),
            };
            if is_read {
                refuse_unreadable(value, &format!("messages[{i}].{key}"))?;
            } else if key != "tool_call_id" {
                notes.add(Note::UnreadMessageKey(key.clone()), line);
            }
        }
    }
    Ok(())
}

fn check_tools(
    tools: Option<&[Json]>,
    reads: &Reads,
    (notes, line): (&mut Notes, usize),
) -> Result<(), RowError> {
    let Some(tools) = tools.filter(|tools| !tools.is_empty()) else {
        return Ok(());
    };
    if !reads.tools() {
        notes.add(Note::UnreadTools, line);
        return Ok(());
    }
    let mut tools = tools.iter().enumerate();
    tools.try_for_each(|(i, tool)| refuse_unreadable(tool, &format!("tools[{i}]")))
}

fn refuse_unreadable(value: &Json, path: &str) -> Result<(), RowError> {
    match value.unreadable(path) {
        None => Ok(()),
        Some((field, value)) => Err(RowError::Unreadable {
            field,
            got: value.type_name(),
        }),
    }
}
