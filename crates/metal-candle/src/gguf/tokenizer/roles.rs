//! Special tokens by role, and chat templates.

use super::vocabulary::Vocabulary;
use crate::gguf::{Array, Metadata, Result, Value as Stored};
use serde_json::{Map, Value, json};

/// Roles of tokens: in a file's keys, and in `tokenizer_config.json`.
pub(in crate::gguf) const ROLES: [(&str, &str); 5] = [
    ("bos", "bos_token"),
    ("eos", "eos_token"),
    ("unknown", "unk_token"),
    ("seperator", "sep_token"),
    ("padding", "pad_token"),
];

const TEMPLATE: &str = "tokenizer.chat_template";

/// `tokenizer_config.json`.
pub(super) fn config(
    metadata: &Metadata,
    vocabulary: &Vocabulary<'_>,
) -> Result<Map<String, Value>> {
    let mut config = Map::new();
    config.insert("tokenizer_class".into(), "PreTrainedTokenizerFast".into());
    config.insert("clean_up_tokenization_spaces".into(), false.into());
    for (key, role) in ROLES {
        let token = token(metadata, vocabulary, key)?;
        config.extend(token.map(|(token, _)| (role.to_string(), token.into())));
    }
    let templates = templates(metadata)?;
    config.extend(templates.map(|templates| ("chat_template".to_string(), templates)));
    Ok(config)
}

/// Token in a role, and its id. One that is not there is told, as llama.cpp does, and is none.
pub(super) fn token<'a>(
    metadata: &Metadata,
    vocabulary: &Vocabulary<'a>,
    role: &str,
) -> Result<Option<(&'a str, usize)>> {
    let key = format!("tokenizer.ggml.{role}_token_id");
    let Some(id) = metadata.size(&key)? else {
        return Ok(None);
    };
    let index = usize::try_from(id).unwrap_or(usize::MAX);
    match vocabulary.tokens.get(index) {
        Some(token) => Ok(Some((token.as_str(), index))),
        None => {
            let (path, n_tokens) = (metadata.path().display(), vocabulary.tokens.len());
            tracing::warn!(
                "{path}: {key} is {id}, but there are {n_tokens} tokens: it is left out"
            );
            Ok(None)
        }
    }
}

/// Template, or templates with their names.
fn templates(metadata: &Metadata) -> Result<Option<Value>> {
    let default = metadata.text(TEMPLATE)?;
    let names = match metadata.get("tokenizer.chat_templates") {
        Some(Stored::Array(Array::Texts(names))) => names.as_slice(),
        _ => &[],
    };
    let mut named = vec![];
    for name in names.iter().filter(|name| *name != "default") {
        let template = metadata.text(&format!("{TEMPLATE}.{name}"))?;
        named.extend(template.map(|template| json!({"name": name, "template": template})));
    }
    let Some(default) = default else {
        return Ok((!named.is_empty()).then(|| named.into()));
    };
    if named.is_empty() {
        return Ok(Some(default.into()));
    }
    named.insert(0, json!({"name": "default", "template": default}));
    Ok(Some(named.into()))
}

/// Post-processor that puts the tokens around a text that a file asks for, after `before`. What a file does not say is
/// `default`, for the beginning and the end.
pub(super) fn post_processor(
    metadata: &Metadata,
    vocabulary: &Vocabulary<'_>,
    default: [bool; 2],
) -> Result<Option<Value>> {
    let mut around = vec![];
    for (role, default) in ["bos", "eos"].into_iter().zip(default) {
        let adds = metadata.flag(&format!("tokenizer.ggml.add_{role}_token"))?;
        let token = token(metadata, vocabulary, role)?;
        around.push(token.filter(|_| adds.unwrap_or(default)));
    }
    if around.iter().all(Option::is_none) {
        return Ok(None);
    }
    let part = |token: Option<(&str, usize)>| {
        token.map(|(token, _)| json!({"SpecialToken": {"id": token, "type_id": 0}}))
    };
    let sequence = |name: &str| Some(json!({"Sequence": {"id": name, "type_id": 0}}));
    let of = |names: &[&str]| -> Value {
        let parts = names
            .iter()
            .flat_map(|name| [part(around[0]), sequence(name), part(around[1])]);
        parts.flatten().collect()
    };
    let special: Map<String, Value> = around
        .iter()
        .flatten()
        .map(|(token, id)| {
            (
                token.to_string(),
                json!({"id": token, "ids": [id], "tokens": [token]}),
            )
        })
        .collect();
    Ok(Some(json!({
        "type": "TemplateProcessing",
        "single": of(&["A"]),
        "pair": of(&["A", "B"]),
        "special_tokens": special,
    })))
}
