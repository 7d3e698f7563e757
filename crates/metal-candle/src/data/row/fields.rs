//! Fields of a row, taken out of it.

use super::RowError;
use crate::data::json::{Json, Object, parse};

/// Whether the row is trained, where it says so: OpenAI's `weight`, 0 or 1.
pub(super) fn take_weight(row: &mut Object) -> Result<Option<bool>, RowError> {
    let weight = row.shift_remove("weight");
    weight
        .filter(|weight| !weight.is_null())
        .map(|weight| zero_or_one("weight", &weight))
        .transpose()
}

/// A weight: false for 0, true for 1.
///
/// # Errors
/// For everything between and beyond, which the loss has no factor for.
pub(in crate::data) fn zero_or_one(field: &str, weight: &Json) -> Result<bool, RowError> {
    match weight {
        Json::Int(0) => Ok(false),
        Json::Int(1) => Ok(true),
        Json::Float(0.0) => Ok(false),
        Json::Float(1.0) => Ok(true),
        Json::Int(_) | Json::BigInt(_) | Json::Float(_) => Err(RowError::Weight {
            field: field.to_owned(),
        }),
        other => Err(wrong_type(field, "0 or 1", Some(other))),
    }
}

/// Function schemas: `tools`, or else OpenAI's older `functions`.
pub(in crate::data) fn take_tools(row: &mut Object) -> Result<Option<Vec<Json>>, RowError> {
    let take = |row: &mut Object, key| row.shift_remove(key).filter(|value| !value.is_null());
    if let Some(tools) = take(row, "tools") {
        return tool_list("tools", tools);
    }
    let Some(functions) = take(row, "functions") else {
        return Ok(None);
    };
    let functions = tool_list("functions", functions)?;
    Ok(functions.map(|functions| functions.into_iter().map(as_tool).collect()))
}

/// A list of objects. Tables keep it, or each of its items, as JSON text: a column of objects would
/// be filled with nulls.
fn tool_list(field: &str, tools: Json) -> Result<Option<Vec<Json>>, RowError> {
    match from_text(field, tools)? {
        Json::Null => Ok(None),
        Json::Array(tools) => {
            let tools = tools.into_iter().enumerate();
            let tools = tools.map(|(i, tool)| tool_object(&format!("{field}[{i}]"), tool));
            tools.collect::<Result<_, _>>().map(Some)
        }
        other => Err(wrong_type(field, "a list", Some(&other))),
    }
}

fn tool_object(field: &str, tool: Json) -> Result<Json, RowError> {
    match from_text(field, tool)? {
        tool @ Json::Object(_) => Ok(tool),
        other => Err(wrong_type(field, "an object", Some(&other))),
    }
}

/// What a text holds as JSON; any other value as it is.
fn from_text(field: &str, value: Json) -> Result<Json, RowError> {
    let Json::String(text) = value else {
        return Ok(value);
    };
    match parse(text.as_bytes()) {
        Ok((value, _)) => Ok(value),
        Err(error) => Err(RowError::Text {
            field: field.to_owned(),
            error,
        }),
    }
}

fn as_tool(function: Json) -> Json {
    Json::Object(Object::from_iter([
        ("type".to_owned(), Json::from("function")),
        ("function".to_owned(), function),
    ]))
}

pub(in crate::data) fn wrong_type(
    field: &str,
    expected: &'static str,
    got: Option<&Json>,
) -> RowError {
    RowError::WrongType {
        field: field.to_owned(),
        expected,
        got: got.map_or("nothing", Json::type_name),
    }
}
