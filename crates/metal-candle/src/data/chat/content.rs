//! Messages without content: in OpenAI's form those that call functions, of which the content is null.

use crate::data::error::RowError;
use crate::data::json::Json;
use crate::data::row::wrong_type;
use crate::data::template::Message;
use crate::data::tokenizer::Tokenizer;

/// Refuses content that is neither text nor parts of it.
///
/// # Errors
/// For numbers, true and false.
pub(super) fn check(messages: &[Message]) -> Result<(), RowError> {
    let is_odd = |value: &Json| {
        matches!(
            value,
            Json::Bool(_) | Json::Int(_) | Json::BigInt(_) | Json::Float(_)
        )
    };
    for (i, message) in messages.iter().enumerate() {
        if let Some(content) = message.get("content").filter(|content| is_odd(content)) {
            let field = format!("messages[{i}].content");
            return Err(wrong_type(&field, "a string", Some(content)));
        }
    }
    Ok(())
}

/// Gives messages that call functions an empty content where the template cannot do without one.
///
/// # Errors
/// When a message that calls none has no content, and the template cannot do without.
pub(super) fn fill(
    messages: &mut Vec<Message>,
    tools: Option<&[Json]>,
    tokenizer: &Tokenizer,
) -> Result<(), RowError> {
    let lacks = |message: &Message| !message.contains_key("content");
    let renders = |messages: &[Message]| {
        let text = tokenizer.apply_chat_template(messages, tools, false);
        text.is_ok()
    };
    if !messages.iter().any(lacks) || renders(messages) {
        return Ok(());
    }
    let mut filled = messages.clone();
    for message in filled.iter_mut().filter(|message| lacks(message)) {
        message.insert("content".to_owned(), Json::from(""));
    }
    if !renders(&filled) {
        // Whoever renders them tells what else is wrong.
        return Ok(());
    }
    let is_bare = |message: &Message| lacks(message) && !message.contains_key("tool_calls");
    match messages.iter().position(is_bare) {
        Some(i) => {
            let field = format!("messages[{i}].content");
            Err(wrong_type(&field, "a string", None))
        }
        None => {
            *messages = filled;
            Ok(())
        }
    }
}
