use super::fields::Fields;
use super::{Marks, Prompts, messages};
use crate::catalogue::Entry;
use crate::error::{Error, Result};
use metal_candle::data::{Json, Message, Tokenizer};
use serde_json::{Map, Value};

const MESSAGES: &str = "messages";

/// Reads the conversation, and renders it with the chat template.
pub fn prompts(fields: &mut Fields, entry: &Entry) -> Result<Prompts> {
    let messages = fields.take(MESSAGES).unwrap_or(Value::Null);
    let messages = messages::read(&messages)?;
    let tools = tools(fields)?;
    let variables = fields.object("chat_template_kwargs")?.unwrap_or_default();
    let tokenizer = &entry.tokenizer;
    let rendered = rendered(tokenizer, &messages, tools.as_deref(), &variables)?;
    let is_shown = |mark: &str| {
        let id = tokenizer.token_to_id(mark);
        id.map(|id| !tokenizer.is_special(id))
    };
    let reasoning = ["<think>", "</think>"]
        .iter()
        .all(|mark| is_shown(mark) == Some(true));
    let calls = tools.is_some() && is_shown("<tool_call>") != Some(false);
    Ok(Prompts {
        token_ids: vec![encoded(tokenizer, &rendered)?],
        field: MESSAGES,
        marks: Marks {
            reasoning,
            begins_in_reasoning: reasoning && rendered.trim_end().ends_with("<think>"),
            calls,
        },
    })
}

fn rendered(
    tokenizer: &Tokenizer,
    messages: &[Message],
    tools: Option<&[Json]>,
    variables: &Map<String, Value>,
) -> Result<String> {
    if !tokenizer.has_chat_template() {
        let message = "the model has no chat template: use /v1/completions, or start the server with --chat-template";
        return Err(Error::field(MESSAGES, message));
    }
    let rendered = tokenizer.apply_chat_template_with(messages, tools, true, variables);
    rendered.map_err(|error| Error::field(MESSAGES, error))
}

fn encoded(tokenizer: &Tokenizer, rendered: &str) -> Result<Vec<u32>> {
    let encoded = tokenizer.encode_raw(rendered);
    encoded.map_err(|error| Error::field(MESSAGES, error))
}

/// Tools that the template is told of: none where the model is not to call any.
fn tools(fields: &mut Fields) -> Result<Option<Vec<Json>>> {
    const TOOLS: &str = "tools";
    let choice = fields.take("tool_choice");
    let tools = fields.taken(TOOLS, "a list", |value| value.as_array().cloned())?;
    let tools = tools.unwrap_or_default();
    for (i, tool) in tools.iter().enumerate() {
        let name = tool.pointer("/function/name").and_then(Value::as_str);
        if tool.get("type").and_then(Value::as_str) != Some("function") || name.is_none() {
            let name = format!("{TOOLS}[{i}]");
            let expected = "{\"type\": \"function\", \"function\": {\"name\": ...}}";
            return Err(Error::expected(&name, expected, tool));
        }
    }
    let is_told = match choice.as_ref().map(|choice| (choice, choice.as_str())) {
        None | Some((_, Some("auto"))) => true,
        Some((_, Some("none"))) => false,
        Some((choice, _)) => {
            let message = format!("tool_choice = {choice} is not built: auto and none are");
            let error = Error::field("tool_choice", message);
            return Err(error.with_code("unsupported_parameter"));
        }
    };
    let tools = (is_told && !tools.is_empty()).then_some(tools);
    Ok(tools.map(|tools| tools.into_iter().map(Json::from).collect()))
}
