//! `hf_dataset` of mlx-lm: a data set of the Hugging Face hub, and its columns.

use super::{Parsed, option};
use serde_json::{Map, Value};

/// Keys with the options that they stand for.
const KEYS: [(&str, &str); 5] = [
    ("path", "data"),
    ("prompt_feature", "prompt-key"),
    ("completion_feature", "completion-key"),
    ("chat_feature", "chat-key"),
    ("text_feature", "text-key"),
];

/// Options of one data set, by itself or in a list of one.
pub(super) fn options(value: Value) -> Parsed<Vec<String>> {
    match value {
        Value::Object(fields) => of_one(&fields),
        Value::Array(mut sets) if sets.len() == 1 => options(sets.remove(0)),
        Value::Array(sets) => Err(format!(
            "hf_dataset: expected one data set, got {}; put their rows into one, and name it with data",
            sets.len()
        )),
        other => Err(format!("hf_dataset: expected keys and values, got {other}")),
    }
}

fn of_one(fields: &Map<String, Value>) -> Parsed<Vec<String>> {
    if fields.get("path").is_none_or(Value::is_null) {
        return Err("hf_dataset: path is missing; it names the data set: OWNER/NAME".into());
    }
    let mut options = vec![];
    for (key, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        let place = format!("hf_dataset: {key}");
        let (_, name) = KEYS
            .iter()
            .find(|(known, _)| known == key)
            .ok_or_else(|| refused(&place, value))?;
        options.extend(option(name, &place, value)?);
    }
    Ok(options)
}

/// Tells which rows are read where mlx-lm reads others.
pub(super) fn tell() {
    tracing::warn!(
        "hf_dataset: all rows of the training split are trained, and the data set's own are validated with, or 5 % that are \
         held out; mlx-lm takes the first 80 % and the last 10 % of the training split"
    );
}

fn refused(place: &str, value: &Value) -> String {
    let keys = KEYS.map(|(key, _)| key).join(", ");
    format!(
        "{place}: expected {keys}, got {value}; parts of splits and configurations are not built: download the data set, \
         write the rows into train.jsonl and valid.jsonl, and name their folder with data"
    )
}
