//! Values as a chat template sees them.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;
use minijinja::value::{Object as JinjaObject, ObjectRepr, Value as JinjaValue};

use super::number::{has_exponent, repr};
use super::{Json, Object};

/// Names of a message's reasoning, in the order in which transformers looks for it.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// A number that minijinja has no type for, or would print in other words than Python.
#[derive(Debug)]
pub(in crate::data) struct PythonNumber(pub String);

impl JinjaObject for PythonNumber {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A message, with its reasoning under the names that templates read: `reasoning_content`, and
/// `thinking` where it is absent (`_alias_reasoning_fields` of transformers 5.24,
/// `utils/chat_template_utils.py`).
pub(in crate::data) fn message_value(message: &Object) -> JinjaValue {
    let mut entries: IndexMap<&str, JinjaValue> = message
        .iter()
        .map(|(key, item)| (key.as_str(), value(item)))
        .collect();
    let reasoning = REASONING
        .iter()
        .find_map(|name| entries.get(name).filter(|value| !value.is_none()).cloned());
    if let Some(reasoning) = reasoning {
        let thinking = entries.shift_remove("thinking");
        let thinking = thinking.unwrap_or_else(|| reasoning.clone());
        entries.shift_insert(0, "thinking", thinking);
        entries.insert("reasoning_content", reasoning);
    }
    JinjaValue::from_pairs(entries)
}

/// Messages without keys whose value is null, as `apply_chat_template` of transformers drops them
/// (`_normalize_chat_messages`): tables that are exported as JSON fill every column with nulls, of
/// which templates would print `None` or fail. Nulls further inside stay.
pub(in crate::data) fn without_nulls(messages: &[Object]) -> Cow<'_, [Object]> {
    if !messages.iter().flat_map(Object::values).any(Json::is_null) {
        return Cow::Borrowed(messages);
    }
    let mut messages = messages.to_vec();
    for message in &mut messages {
        message.retain(|_, value| !value.is_null());
    }
    Cow::Owned(messages)
}

/// Any other value.
pub(in crate::data) fn value(json: &Json) -> JinjaValue {
    match json {
        Json::Null => JinjaValue::from(()),
        Json::Bool(flag) => JinjaValue::from(*flag),
        Json::Int(number) => match i64::try_from(*number) {
            Ok(small) => JinjaValue::from(small),
            Err(_) => JinjaValue::from(*number),
        },
        Json::BigInt(digits) => JinjaValue::from_object(PythonNumber(digits.clone())),
        Json::Float(x) if x.is_finite() && has_exponent(*x) => {
            JinjaValue::from_object(PythonNumber(repr(*x)))
        }
        Json::Float(x) => JinjaValue::from(*x),
        Json::String(text) => JinjaValue::from(text.as_str()),
        Json::LoneSurrogate => JinjaValue::from("\u{FFFD}"),
        Json::Array(items) => items.iter().map(value).collect(),
        Json::Object(object) => {
            JinjaValue::from_pairs(object.iter().map(|(key, item)| (key.as_str(), value(item))))
        }
    }
}
