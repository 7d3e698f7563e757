//! Messages as a chat template sees them.

use std::borrow::Cow;

use super::{Json, Object};

/// Names of a message's reasoning, in the order in which transformers looks for it.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// A message with its reasoning under the names that templates read: `reasoning_content`, and
/// `thinking` where it is absent (`_alias_reasoning_fields` of transformers 5.24,
/// `utils/chat_template_utils.py`).
pub(in crate::data) fn with_reasoning(message: &Object) -> Object {
    let mut message = message.clone();
    let found = REASONING
        .iter()
        .find_map(|name| message.get(*name).filter(|value| !value.is_null()));
    if let Some(reasoning) = found.cloned() {
        let thinking = message.shift_remove("thinking");
        let thinking = thinking.unwrap_or_else(|| reasoning.clone());
        message.shift_insert(0, "thinking".to_owned(), thinking);
        message.insert("reasoning_content".to_owned(), reasoning);
    }
    message
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
