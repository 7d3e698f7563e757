//! Messages as chat templates read them.

use crate::error::{Error, Result};
use metal_candle::data::Message;
use serde_json::{Map, Value};

/// Roles, and the names that templates know them by.
const ROLES: [(&str, &str); 5] = [
    ("system", "system"),
    ("developer", "system"),
    ("user", "user"),
    ("assistant", "assistant"),
    ("tool", "tool"),
];

/// Reads the field `messages`.
pub fn read(messages: &Value) -> Result<Vec<Message>> {
    let Some(list) = messages.as_array().filter(|list| !list.is_empty()) else {
        return Err(Error::expected(
            "messages",
            "a list of one message at least",
            messages,
        ));
    };
    let read = list.iter().enumerate();
    read.map(|(i, message)| one(&format!("messages[{i}]"), message))
        .collect()
}

fn one(name: &str, message: &Value) -> Result<Message> {
    let Some(mut fields) = message.as_object().cloned() else {
        return Err(Error::expected(name, "an object", message));
    };
    let role = role(name, &fields)?;
    fields.insert("role".into(), role.into());
    let content = content(name, fields.get("content"))?;
    fields.insert("content".into(), content.into());
    if let Some(calls) = fields
        .get_mut("tool_calls")
        .filter(|calls| !calls.is_null())
    {
        parse_arguments(&format!("{name}.tool_calls"), calls)?;
    }
    let fields = fields.into_iter();
    Ok(fields.map(|(key, value)| (key, value.into())).collect())
}

fn role(name: &str, fields: &Map<String, Value>) -> Result<&'static str> {
    let got = fields.get("role").unwrap_or(&Value::Null);
    let mut known = ROLES.iter();
    match known.find(|(role, _)| got.as_str() == Some(role)) {
        Some((_, role)) => Ok(role),
        None => {
            let known = ROLES.map(|(role, _)| role).join(", ");
            Err(Error::expected(
                &format!("{name}.role"),
                format_args!("one of {known}"),
                got,
            ))
        }
    }
}

/// Text of a message: a string, or parts that are text; nothing where there is none, as mlx-lm has it.
fn content(name: &str, content: Option<&Value>) -> Result<String> {
    let name = format!("{name}.content");
    match content {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(parts)) => {
            let parts = parts.iter().enumerate();
            parts
                .map(|(i, part)| self::part(&format!("{name}[{i}]"), part))
                .collect()
        }
        Some(other) => Err(Error::expected(&name, "a string or a list of parts", other)),
    }
}

fn part<'a>(name: &str, part: &'a Value) -> Result<&'a str> {
    let kind = part.get("type").and_then(Value::as_str);
    let text = part.get("text").and_then(Value::as_str);
    match (kind, text) {
        (Some("text"), Some(text)) => Ok(text),
        (Some("text") | None, _) => Err(Error::expected(
            name,
            "{\"type\": \"text\", \"text\": ...}",
            part,
        )),
        (Some(kind), _) => Err(Error::field(
            name,
            format_args!("{name} has type {kind:?}, and models read text only"),
        )),
    }
}

/// Arguments of past calls are JSON in a string; templates read the value.
fn parse_arguments(name: &str, calls: &mut Value) -> Result<()> {
    let Value::Array(calls) = calls else {
        return Err(Error::expected(name, "a list", calls));
    };
    for (i, call) in calls.iter_mut().enumerate() {
        let arguments = call.pointer_mut("/function/arguments");
        if let Some(arguments) = arguments
            && let Value::String(text) = arguments
            && !text.is_empty()
        {
            *arguments = serde_json::from_str(text).map_err(|error| {
                let name = format!("{name}[{i}].function.arguments");
                Error::field(&name, format_args!("{name} is not JSON: {error}"))
            })?;
        }
    }
    Ok(())
}
