//! The last message of a conversation, by mlx-lm's rule (`tuner/datasets.py: ChatDataset`).

use crate::data::chat::is_assistants;
use crate::data::error::RowError;
use crate::data::json::Json;
use crate::data::template::Message;
use crate::data::tokenizer::Tokenizer;

/// Tokens of the whole conversation, and how many of them the prompt of its last message has: the conversation before
/// it, with a generation prompt where the assistant says it. The two are turned into tokens each by itself, and a
/// template that renders history in another way than the last turn moves the border, as in mlx-lm.
///
/// # Errors
/// The template's, which may refuse a conversation without its last message.
pub(in crate::data) fn last_message(
    tokenizer: &Tokenizer,
    messages: &[Message],
    tools: Option<&[Json]>,
) -> Result<(Vec<u32>, usize), RowError> {
    let tokens = |messages: &[Message], add_generation_prompt| {
        let text = tokenizer.apply_chat_template(messages, tools, add_generation_prompt)?;
        tokenizer.encode_raw(&text)
    };
    let before = &messages[..messages.len().saturating_sub(1)];
    let is_answer = messages.last().is_some_and(is_assistants);
    let prompt = tokens(before, is_answer)?;
    Ok((tokens(messages, false)?, prompt.len()))
}
