//! The header: trees of Python, flattened into names with dots. `0` is what the caches were made with, `1` the classes, and `2`
//! the tensors that stand for numbers, behind an empty text.

use super::Checked;
use crate::models::json::shown_name;
use serde_json::{Value, json};
use std::collections::HashMap;

/// Model and adapter that the keys and values of a file were made with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PromptCacheInfo {
    /// Folder or id of the model.
    pub model: String,
    /// Folder of the adapter, empty where there was none; `None` where the file does not tell, as those of mlx-lm.
    pub adapter: Option<String>,
    /// Token that ends a text, where one was asked for.
    pub eos_token: Option<String>,
}

const MODEL: &str = "0.model";
const TOKENIZER: &str = "0.tokenizer_config";
const ADAPTER: &str = "0.adapter_path";

/// What a header tells, and the classes of the blocks' caches.
pub(super) fn read(
    header: Option<&HashMap<String, String>>,
) -> Checked<(PromptCacheInfo, Vec<String>)> {
    let text = |name: &str| header.and_then(|header| header.get(name));
    let classes: Vec<String> = (0..)
        .map_while(|i| text(&format!("1.{i}")).cloned())
        .collect();
    let (Some(model), false) = (text(MODEL), classes.is_empty()) else {
        return Err(
            "no file of keys and values: its header names neither a model nor caches".into(),
        );
    };
    let info = PromptCacheInfo {
        model: model.clone(),
        adapter: text(ADAPTER).cloned(),
        eos_token: text(TOKENIZER).map_or(Ok(None), |text| eos_token(text))?,
    };
    Ok((info, classes))
}

fn eos_token(tokenizer_config: &str) -> Checked<Option<String>> {
    let settings: Value = serde_json::from_str(tokenizer_config).map_err(|error| {
        let shown = shown_name(tokenizer_config);
        format!("tokenizer_config must be a JSON object, got {shown}: {error}")
    })?;
    Ok(settings["eos_token"].as_str().map(String::from))
}

/// The entries of a header.
pub(super) fn write(
    info: &PromptCacheInfo,
    classes: &[&str],
    scalars: &[String],
) -> HashMap<String, String> {
    let mut settings = json!({"trust_remote_code": false});
    if let Some(token) = &info.eos_token {
        settings["eos_token"] = json!(token);
    }
    let mut header = HashMap::from([
        (MODEL.into(), info.model.clone()),
        (TOKENIZER.into(), settings.to_string()),
        ("2.0".into(), String::new()),
    ]);
    header.extend(
        info.adapter
            .clone()
            .map(|adapter| (ADAPTER.into(), adapter)),
    );
    let classes = classes.iter().enumerate();
    header.extend(classes.map(|(i, class)| (format!("1.{i}"), (*class).to_string())));
    for (name, i) in scalars.iter().zip(1..) {
        header.insert(format!("2.{i}.0"), name.clone());
        header.insert(format!("2.{i}.1"), "scalar".into());
    }
    header
}
