//! Content in parts: `[{"type": "text", "text": ...}]`.

use crate::data::error::RowError;
use crate::data::json::{Json, Object, shortened};
use crate::data::row::wrong_type;
use crate::data::template::{ChatTemplate, Conversation, Message};
use crate::data::tokenizer::Tokenizer;

/// Beginnings of a part's type, or its keys where it has no type, and what they mean.
const MEDIA: [(&str, &str); 6] = [
    ("image", "an image"),
    ("input_image", "an image"),
    ("audio", "audio"),
    ("input_audio", "audio"),
    ("video", "a video"),
    ("file", "a file"),
];

/// Refuses parts that a text model cannot see.
pub(super) fn refuse_media(messages: &[Message]) -> Result<(), RowError> {
    for (i, message) in messages.iter().enumerate() {
        let Some(Json::Array(parts)) = message.get("content") else {
            continue;
        };
        for (j, part) in parts.iter().enumerate() {
            if let Some(what) = part.as_object().and_then(media) {
                let field = format!("messages[{i}].content[{j}]");
                return Err(RowError::Media { field, what });
            }
        }
    }
    Ok(())
}

fn media(part: &Object) -> Option<&'static str> {
    let named = |name: &str| {
        let found = MEDIA.iter().find(|(prefix, _)| name.starts_with(prefix));
        found.map(|(_, what)| *what)
    };
    match part.get("type").and_then(Json::as_str) {
        Some(kind) => named(kind),
        None => part
            .iter()
            .filter(|(_, value)| !value.is_null())
            .find_map(|(key, _)| named(key)),
    }
}

/// Joins the texts of parts where the template prints a list as Python would, refuses it, or leaves
/// its texts out. Says whether it did. A template that reads parts gets them as they are.
///
/// # Errors
/// When something is printed so that has no texts to join.
pub(super) fn join_if_unread(
    messages: &mut [Message],
    tools: Option<&[Json]>,
    tokenizer: &Tokenizer,
) -> Result<bool, RowError> {
    let is_structured = |message: &Message| {
        matches!(
            message.get("content"),
            Some(Json::Array(_) | Json::Object(_))
        )
    };
    if !messages.iter().any(is_structured) {
        return Ok(false);
    }
    let rendered = tokenizer.apply_chat_template(messages, tools, false).ok();
    if rendered.is_some_and(|text| messages.iter().all(|message| shows(message, &text))) {
        return Ok(false);
    }
    for (i, message) in messages.iter_mut().enumerate() {
        join(i, message)?;
    }
    Ok(true)
}

/// Whether the texts of a message's parts stand in the rendered text, and the list itself does not.
fn shows(message: &Message, rendered: &str) -> bool {
    let Some(content @ (Json::Array(_) | Json::Object(_))) = message.get("content") else {
        return true;
    };
    let texts = match content {
        Json::Array(parts) => parts.iter().filter_map(text).collect(),
        _ => Vec::new(),
    };
    let are_there = texts.iter().all(|text| rendered.contains(text.trim()));
    are_there && printed(content).is_none_or(|list| !rendered.contains(&list))
}

/// A value as templates print it: a list as Python's.
fn printed(content: &Json) -> Option<String> {
    let message = Message::from_iter([("content".to_owned(), content.clone())]);
    let template = ChatTemplate::compile("{{ messages[0].content }}").ok()?;
    let conversation = Conversation {
        messages: &[message],
        tools: None,
        add_generation_prompt: false,
    };
    template.render(conversation, &serde_json::Map::new()).ok()
}

fn join(i: usize, message: &mut Message) -> Result<(), RowError> {
    let field = format!("messages[{i}].content");
    match message.get_mut("content") {
        Some(content @ Json::Array(_)) => {
            *content = Json::from(joined(&field, content)?);
            Ok(())
        }
        Some(content @ Json::Object(_)) => Err(wrong_type(&field, "a string", Some(content))),
        _ => Ok(()),
    }
}

fn joined(field: &str, content: &Json) -> Result<String, RowError> {
    let Json::Array(parts) = content else {
        return Ok(String::new());
    };
    let texts = parts.iter().enumerate().map(|(j, part)| {
        text(part).ok_or_else(|| RowError::NotAText {
            field: format!("{field}[{j}]"),
            kind: part.get("type").and_then(Json::as_str).map_or_else(
                || part.type_name().to_owned(),
                |kind| format!("\"{}\"", shortened(kind)),
            ),
        })
    });
    texts.collect()
}

/// The text of a part; a list may also hold plain strings.
fn text(part: &Json) -> Option<&str> {
    let is_text = part
        .get("type")
        .is_none_or(|kind| matches!(kind.as_str(), Some("text" | "input_text" | "output_text")));
    part.as_str()
        .or_else(|| part.get("text").filter(|_| is_text)?.as_str())
}
