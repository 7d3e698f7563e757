//! Conversations, as data sets spell them: OpenAI's messages, ShareGPT's `from` and `value`, turns in pairs, and texts
//! of which every other one is the assistant's.

use super::super::row::wrong_type;
use super::path;
use crate::data::error::RowError;
use crate::data::json::{Json, Object, parse};
use crate::data::template::Message;

/// Roles by the names that ShareGPT and its kin give them.
const ROLES: [(&str, &[&str]); 4] = [
    ("user", &["human", "user", "prompter"]),
    (
        "assistant",
        &[
            "gpt",
            "assistant",
            "chatgpt",
            "model",
            "bot",
            "ai",
            "bing",
            "bard",
        ],
    ),
    ("system", &["system"]),
    (
        "tool",
        &[
            "tool",
            "observation",
            "function_response",
            "function-response",
            "tool_response",
        ],
    ),
];

/// Names of a turn in which the assistant calls functions.
const CALLS: [&str; 4] = ["function_call", "function-call", "tool_call", "tool_calls"];

/// Keys of one exchange in one object: what the user and what the assistant says.
const EXCHANGES: [(&str, &str); 7] = [
    ("user", "assistant"),
    ("human", "assistant"),
    ("human", "gpt"),
    ("input", "output"),
    ("prompt", "response"),
    ("question", "answer"),
    ("instruction", "output"),
];

/// The conversation in a column.
///
/// # Errors
/// When it is no list of messages.
pub(super) fn column(row: &Object, key: &str) -> Result<Vec<Message>, RowError> {
    match path::get(row, key) {
        Some(value) => messages(value, key),
        None => Err(wrong_type(key, "a list", None)),
    }
}

/// Whether a value looks like a conversation: a list, or one that a table keeps as JSON text.
pub(super) fn is_one(value: &Json) -> bool {
    match value {
        Json::Array(_) => true,
        Json::String(text) => text.trim_start().starts_with('['),
        _ => false,
    }
}

/// Messages of a value; `field` is its name.
///
/// # Errors
/// When it is no list of messages.
pub(super) fn messages(value: &Json, field: &str) -> Result<Vec<Message>, RowError> {
    let parsed;
    let value = match value {
        Json::String(text) if is_one(value) => {
            parsed = from_text(text, field)?;
            &parsed
        }
        value => value,
    };
    let items = match value {
        Json::Array(items) if items.is_empty() => {
            return Err(RowError::NoMessages {
                field: field.to_owned(),
            });
        }
        Json::Array(items) => items,
        other => return Err(wrong_type(field, "a list", Some(other))),
    };
    let are_texts = items.len() > 1 && items.iter().all(|item| item.as_str().is_some());
    let mut messages = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        let field = || format!("{field}[{i}]");
        match item {
            Json::Object(item) => messages.extend(turn(item, &field())?),
            Json::String(text) if are_texts => {
                messages.push(message(["user", "assistant"][i % 2], text));
            }
            other => return Err(wrong_type(&field(), "an object", Some(other))),
        }
    }
    Ok(messages)
}

fn from_text(text: &str, field: &str) -> Result<Json, RowError> {
    match parse(text.as_bytes()) {
        Ok((value, _)) => Ok(value),
        Err(error) => Err(RowError::Text {
            field: field.to_owned(),
            error,
        }),
    }
}

/// Messages of one object: one, or the two of an exchange.
pub(super) fn turn(item: &Object, field: &str) -> Result<Vec<Message>, RowError> {
    let is = |key: &str| item.get(key).is_some_and(|value| !value.is_null());
    if is("role") || !(is("from") || exchange(item).is_some()) {
        return Ok(vec![with_role(item, field)?]);
    }
    match exchange(item) {
        Some((asks, answers)) if !is("from") => Ok(vec![
            message("user", &path::text(item, asks)?),
            message("assistant", &path::text(item, answers)?),
        ]),
        _ => Ok(vec![with_from(item, field)?]),
    }
}

fn exchange(item: &Object) -> Option<(&'static str, &'static str)> {
    let has = |key: &str| item.get(key).and_then(Json::as_str).is_some();
    EXCHANGES
        .into_iter()
        .find(|(asks, answers)| has(asks) && has(answers))
}

/// A message with a role, every field as it was read; a text under another name becomes its content.
fn with_role(item: &Object, field: &str) -> Result<Message, RowError> {
    let Some(Json::String(role)) = item.get("role") else {
        return Err(wrong_type(
            &format!("{field}.role"),
            "a string",
            item.get("role"),
        ));
    };
    let mut item = item.clone();
    if role == "prompter" {
        item.insert("role".to_owned(), Json::from("user"));
    }
    let has = |key: &str| item.get(key).is_some_and(|value| !value.is_null());
    if has("content") || has("tool_calls") {
        return Ok(item);
    }
    let other = ["text", "value"].into_iter().find(|key| has(key));
    if let Some(text) = other.and_then(|key| item.shift_remove(key)) {
        item.insert("content".to_owned(), text);
    }
    Ok(item)
}

/// A message with `from` and `value`, and what else it has.
fn with_from(item: &Object, field: &str) -> Result<Message, RowError> {
    let Some(Json::String(from)) = item.get("from") else {
        return Err(wrong_type(
            &format!("{field}.from"),
            "a string",
            item.get("from"),
        ));
    };
    let value = ["value", "text", "content"].into_iter().find_map(|key| {
        let value = item.get(key).filter(|value| !value.is_null())?;
        Some((key, value))
    });
    let Some((key, Json::String(text))) = value else {
        let got = value.map(|(_, value)| value);
        return Err(wrong_type(&format!("{field}.value"), "a string", got));
    };
    let lower = from.to_lowercase();
    let mut message = match CALLS.contains(&lower.as_str()) {
        true => calls(text, &format!("{field}.{key}"))?,
        false => message(role(&lower, from, field)?, text),
    };
    let others = item
        .iter()
        .filter(|(other, _)| !["from", key].contains(&other.as_str()));
    message.extend(others.map(|(key, value)| (key.clone(), value.clone())));
    Ok(message)
}

fn role(lower: &str, from: &str, field: &str) -> Result<&'static str, RowError> {
    let found = ROLES.iter().find(|(_, names)| names.contains(&lower));
    found
        .map(|(role, _)| *role)
        .ok_or_else(|| RowError::UnknownRole {
            field: format!("{field}.from"),
            got: from.to_owned(),
            known: ROLES
                .iter()
                .flat_map(|(_, names)| names.iter().copied())
                .chain(CALLS)
                .collect(),
        })
}

/// A turn of the assistant that calls functions: an object with `name` and `arguments`, or a list of them.
fn calls(text: &str, field: &str) -> Result<Message, RowError> {
    let calls = match from_text(text, field)? {
        Json::Array(calls) => calls,
        call => vec![call],
    };
    let as_call = |call: Json| match call.get("name") {
        Some(Json::String(_)) => Ok(Json::Object(Object::from_iter([
            ("type".to_owned(), Json::from("function")),
            ("function".to_owned(), call),
        ]))),
        other => Err(wrong_type(&format!("{field}.name"), "a string", other)),
    };
    let calls = calls.into_iter().map(as_call).collect::<Result<_, _>>()?;
    let mut message = message("assistant", "");
    message.insert("tool_calls".to_owned(), Json::Array(calls));
    Ok(message)
}

/// A conversation that begins with what the system says, unless it does so already.
pub(super) fn with_system(mut messages: Vec<Message>, system: Option<String>) -> Vec<Message> {
    let role = messages.first().and_then(|first| first.get("role"));
    if let (Some(system), true) = (system, role.and_then(Json::as_str) != Some("system")) {
        messages.insert(0, message("system", &system));
    }
    messages
}

/// A message.
pub(super) fn message(role: &str, content: &str) -> Message {
    Message::from_iter([
        ("role".to_owned(), Json::from(role)),
        ("content".to_owned(), Json::from(content)),
    ])
}
