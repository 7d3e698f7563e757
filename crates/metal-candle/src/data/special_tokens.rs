//! Special tokens by role (`bos_token`, `eos_token`, ...), as the files beside `tokenizer.json`
//! name them.

use serde_json::{Map, Value};
use tokenizers::AddedToken;

/// Key of `tokenizer_config.json` under which newer checkpoints write all added tokens.
pub(super) const DECODER: &str = "added_tokens_decoder";

/// The special tokens of a tokenizer. Templates read them as variables of the same names.
#[derive(Debug, Clone, Default)]
pub(super) struct SpecialTokens {
    by_role: Map<String, Value>,
    named: Vec<AddedToken>,
    extra: Vec<AddedToken>,
}

impl SpecialTokens {
    /// Collects every `*_token` and every list of further special tokens. Where both files name a
    /// role, transformers takes `map`, unless `config` has an `added_tokens_decoder`; what is null
    /// or absent in the one comes from the other.
    pub(super) fn read(config: &Map<String, Value>, map: &Map<String, Value>) -> Self {
        let has_decoder = config.contains_key(DECODER);
        let (first, second) = match has_decoder {
            true => (config, map),
            false => (map, config),
        };
        let mut tokens = Self::default();
        for (role, value) in first.iter().chain(second) {
            tokens.take(role, value);
        }
        // Beside a decoder transformers does not read the map.
        let listed = extra_tokens(config).or_else(|| extra_tokens(map).filter(|_| !has_decoder));
        tokens.extra = listed.unwrap_or_default();
        let named = config.get("extra_special_tokens");
        for (role, value) in named.and_then(Value::as_object).into_iter().flatten() {
            tokens.take_named(role, value);
        }
        tokens
    }

    fn take(&mut self, role: &str, value: &Value) {
        if role.ends_with("_token") {
            self.take_named(role, value);
        } else if role.ends_with("_special_tokens")
            && !self.by_role.contains_key(role)
            && let Some(tokens) = contents(value)
        {
            self.by_role.insert(role.to_owned(), Value::from(tokens));
        }
    }

    fn take_named(&mut self, role: &str, value: &Value) {
        if self.by_role.contains_key(role) {
            return;
        }
        if let Some(token) = added_token(value, true) {
            self.by_role
                .insert(role.to_owned(), Value::from(token.content.as_str()));
            self.named.push(token.special(true));
        }
    }

    /// The token in `role`, e.g. `eos_token`.
    pub(super) fn get(&self, role: &str) -> Option<&str> {
        self.by_role.get(role).and_then(Value::as_str)
    }

    /// Roles and tokens as template variables.
    pub(super) fn variables(&self) -> &Map<String, Value> {
        &self.by_role
    }

    /// Whether a role is filled by the token `content`.
    pub(super) fn is_named(&self, content: &str) -> bool {
        self.named.iter().any(|token| token.content == content)
    }

    /// Tokens that fill a role, in the files' order; all of them are special.
    pub(super) fn named(&self) -> &[AddedToken] {
        &self.named
    }

    /// Further special tokens (`additional_special_tokens`), in the file's order.
    pub(super) fn extra(&self) -> &[AddedToken] {
        &self.extra
    }
}

/// Token that is written as its text or as an object with `content` and flags. Flags that are
/// absent are off, but `special` is `special`, and what is not special is normalised.
pub(super) fn added_token(value: &Value, special: bool) -> Option<AddedToken> {
    let flag = |name| value.get(name).and_then(Value::as_bool);
    let special = flag("special").unwrap_or(special);
    let token = AddedToken::from(content(value)?, special)
        .single_word(flag("single_word").unwrap_or(false))
        .lstrip(flag("lstrip").unwrap_or(false))
        .rstrip(flag("rstrip").unwrap_or(false));
    Some(token.normalized(flag("normalized").unwrap_or(!special)))
}

/// The list of further special tokens under its new name or its old one.
fn extra_tokens(file: &Map<String, Value>) -> Option<Vec<AddedToken>> {
    let list = |key| file.get(key).and_then(Value::as_array);
    let list = list("extra_special_tokens").or_else(|| list("additional_special_tokens"))?;
    Some(
        list.iter()
            .filter_map(|value| added_token(value, true))
            .collect(),
    )
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
    fn tokens_are_strings_or_objects_and_each_file_fills_the_gaps_of_the_other() {
        let mut config = object(json!({
            "add_bos_token": true,
            "bos_token": {"__type": "AddedToken", "content": "<s>", "lstrip": false},
            "eos_token": "</s>",
            "pad_token": null,
            "tokenizer_class": "X",
        }));
        let map = object(json!({"eos_token": "other", "pad_token": {"content": "<pad>"}}));
        let tokens = SpecialTokens::read(&config, &map);
        assert_eq!(tokens.get("bos_token"), Some("<s>"));
        assert_eq!(tokens.get("eos_token"), Some("other"));
        assert_eq!(tokens.get("pad_token"), Some("<pad>"));
        assert_eq!(tokens.variables().len(), 3);
        config.insert(DECODER.to_owned(), json!({}));
        let tokens = SpecialTokens::read(&config, &map);
        assert_eq!(tokens.get("eos_token"), Some("</s>"));
    }

    #[test]
    fn a_null_token_is_no_variable() {
        let config = object(json!({"bos_token": null}));
        let tokens = SpecialTokens::read(&config, &Map::new());
        assert!(tokens.variables().is_empty());
    }
}
