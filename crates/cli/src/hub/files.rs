//! Which files of a repository make a model.

use crate::error::{Error, Result};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Without these there is no model.
pub const REQUIRED: [&str; 2] = ["config.json", "tokenizer.json"];

/// Fetched where they exist.
pub const OPTIONAL: [&str; 5] = [
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "additional_chat_templates/tool_use.jinja",
];

/// All weights in one file.
pub const SINGLE: &str = "model.safetensors";

/// The list of files that the weights are spread over.
pub const INDEX: &str = "model.safetensors.index.json";

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The files that an index names.
///
/// # Errors
/// When it cannot be read.
pub fn shards(index: &Path) -> Result<BTreeSet<String>> {
    let text = metal_candle::files::read_text(index)?;
    let parsed: Index = serde_json::from_str(&text)
        .map_err(|source| Error::input(format!("{}: {source}", index.display())))?;
    Ok(parsed.weight_map.into_values().collect())
}
