//! Fields that no part of an answer is made of.

use super::fields::Fields;
use crate::error::{Error, Result};
use serde_json::{Value, json};

/// Fields that change no answer.
const IDLE: [&str; 9] = [
    "user",
    "metadata",
    "store",
    "safety_identifier",
    "service_tier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "draft_model",
    "num_draft_tokens",
];

/// Fields that would change the answer and are not built, with the values that ask for nothing and what to do instead.
fn refused() -> [(&'static str, Vec<Value>, &'static str); 14] {
    const ALONE: &str = "leave it out";
    [
        (
            "response_format",
            vec![json!({"type": "text"})],
            "ask for the format in a message, and check the answer",
        ),
        ("parallel_tool_calls", vec![json!(true)], ALONE),
        ("modalities", vec![json!(["text"])], "answers are text"),
        ("audio", vec![], "answers are text"),
        ("prediction", vec![], ALONE),
        ("web_search_options", vec![], ALONE),
        ("functions", vec![json!([])], "use tools"),
        ("function_call", vec![json!("none")], "use tool_choice"),
        (
            "reasoning_effort",
            vec![],
            "give chat_template_kwargs what the model's template reads",
        ),
        (
            "verbosity",
            vec![json!("medium")],
            "ask for it in a message",
        ),
        ("best_of", vec![json!(1)], "use n"),
        ("echo", vec![json!(false)], "the prompt is yours already"),
        ("suffix", vec![json!("")], "put it into the prompt"),
        (
            "role_mapping",
            vec![],
            "write the conversation yourself, for /v1/completions",
        ),
    ]
}

/// Takes these fields.
///
/// # Errors
/// When one of them asks for what is not built.
pub fn take(fields: &mut Fields) -> Result<()> {
    for name in IDLE {
        fields.take(name);
    }
    for (name, idle, instead) in refused() {
        let value = fields.take(name);
        if let Some(value) = value.filter(|value| !idle.contains(value)) {
            let message = format!("{name} = {value} is not built: {instead}");
            return Err(Error::field(name, message).with_code("unsupported_parameter"));
        }
    }
    Ok(())
}
