use crate::gguf::{Metadata, Result, shown};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";

/// Kinds of tokens (`llama_token_type`) that are found in a text before anything else is done to it: those that mean
/// something to the model, and those that somebody added.
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;

/// Stands for a token that cannot be spelt.
const UNKNOWN: i64 = 2;

/// Tokens by their ids.
pub(super) struct Vocabulary<'a> {
    pub(super) tokens: &'a [String],
    types: &'a [i64],
    ids: HashMap<&'a str, usize>,
}

impl<'a> Vocabulary<'a> {
    pub(super) fn read(metadata: &'a Metadata) -> Result<Self> {
        let tokens = metadata.required(TOKENS, metadata.texts(TOKENS)?)?;
        let types = metadata.whole(TYPES)?.unwrap_or_default();
        if !types.is_empty() && types.len() != tokens.len() {
            let expected = format!("a list of {}, one for each token", tokens.len());
            return Err(metadata.wrong(TYPES, expected, types.len()));
        }
        let mut ids = HashMap::with_capacity(tokens.len());
        for (id, token) in tokens.iter().enumerate() {
            if let Some(earlier) = ids.insert(token.as_str(), id) {
                let got = format!("{} as {earlier} and as {id}", shown(token));
                return Err(metadata.wrong(TOKENS, "different tokens", got));
            }
        }
        Ok(Self { tokens, types, ids })
    }

    /// Id of a token.
    pub(super) fn id(&self, token: &str) -> Option<usize> {
        self.ids.get(token).copied()
    }

    /// Tokens and their ids, as a model of `tokenizer.json` has them.
    pub(super) fn ids(&self) -> Value {
        let ids = self.tokens.iter().enumerate();
        let ids: Map<String, Value> = ids.map(|(id, token)| (token.clone(), id.into())).collect();
        ids.into()
    }

    /// Token that stands for one that cannot be spelt.
    pub(super) fn unknown(&self) -> Option<&'a str> {
        let id = self.types.iter().position(|kind| *kind == UNKNOWN)?;
        Some(&self.tokens[id])
    }

    /// Tokens that are found in a text before anything else is done to it.
    pub(super) fn added_tokens(&self) -> Value {
        let tokens = self.tokens.iter().zip(self.types).enumerate();
        let added = tokens.filter(|(_, (token, kind))| {
            !token.is_empty() && [CONTROL, USER_DEFINED, UNKNOWN].contains(kind)
        });
        let added = added.map(|(id, (token, kind))| {
            json!({
                "id": id,
                "content": token,
                "single_word": false,
                "lstrip": false,
                "rstrip": false,
                "normalized": false,
                "special": *kind != USER_DEFINED,
            })
        });
        added.collect()
    }
}
