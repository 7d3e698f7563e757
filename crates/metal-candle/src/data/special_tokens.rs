//! Special tokens by role (`bos_token`, `eos_token`, ...), as the files beside `tokenizer.json`
//! name them.

use serde_json::{Map, Value};

/// The special tokens of a tokenizer. Templates read them as variables of the same names.
#[derive(Debug, Clone, Default)]
pub(super) struct SpecialTokens {
    by_role: Map<String, Value>,
}

impl SpecialTokens {
    /// Collects every `*_token` of `config`; what is null or absent there comes from `map`.
    pub(super) fn read(config: &Map<String, Value>, map: &Map<String, Value>) -> Self {
        let mut by_role = Map::new();
        for (role, value) in config.iter().chain(map) {
            if by_role.contains_key(role) {
                continue;
            }
            if let Some(token) = content(value).filter(|_| role.ends_with("_token")) {
                by_role.insert(role.clone(), Value::from(token));
            } else if let Some(tokens) =
                contents(value).filter(|_| role.ends_with("_special_tokens"))
            {
                by_role.insert(role.clone(), Value::from(tokens));
            }
        }
        Self { by_role }
    }

    /// The token in `role`, e.g. `eos_token`.
    pub(super) fn get(&self, role: &str) -> Option<&str> {
        self.by_role.get(role).and_then(Value::as_str)
    }

    /// Roles and tokens as template variables.
    pub(super) fn variables(&self) -> &Map<String, Value> {
        &self.by_role
    }
}

/// A token is written as its text or as an object with `content`.
fn content(value: &Value) -> Option<&str> {
    value
        .as_str()
        .or_else(|| value.get("content").and_then(Value::as_str))
}

fn contents(value: &Value) -> Option<Vec<&str>> {
    value.as_array()?.iter().map(content).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn tokens_are_strings_or_objects_and_the_map_fills_gaps() {
        let config = object(json!({
            "add_bos_token": true,
            "bos_token": {"__type": "AddedToken", "content": "<s>", "lstrip": false},
            "eos_token": "</s>",
            "pad_token": null,
            "tokenizer_class": "X",
        }));
        let map = object(json!({"eos_token": "other", "pad_token": {"content": "<pad>"}}));
        let tokens = SpecialTokens::read(&config, &map);
        assert_eq!(tokens.get("bos_token"), Some("<s>"));
        assert_eq!(tokens.get("eos_token"), Some("</s>"));
        assert_eq!(tokens.get("pad_token"), Some("<pad>"));
        assert_eq!(tokens.variables().len(), 3);
    }

    #[test]
    fn a_null_token_is_no_variable() {
        let config = object(json!({"bos_token": null}));
        let tokens = SpecialTokens::read(&config, &Map::new());
        assert!(tokens.variables().is_empty());
    }
}
