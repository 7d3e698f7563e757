//! Calls of tools as Hermes and Qwen write them: `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`.

use crate::identity;
use serde_json::{Map, Value, json};

/// The call number `index` of an answer; `None` where the text is no such call.
pub fn read(text: &str, index: usize) -> Option<Value> {
    let call: Map<String, Value> = serde_json::from_str(text.trim()).ok()?;
    let name = call.get("name")?.as_str()?;
    let arguments = match call.get("arguments") {
        None => "{}".to_string(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    let id = identity::name("call_");
    let function = json!({"name": name, "arguments": arguments});
    Some(json!({"index": index, "id": id, "type": "function", "function": function}))
}
