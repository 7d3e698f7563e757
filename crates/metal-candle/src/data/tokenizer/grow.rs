//! Tokens that a user adds to a tokenizer, and its files with them.

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use super::{Tokenizer, guarded};
use crate::data::error::{Error, Result};
use crate::data::special_tokens::DECODER;

impl Tokenizer {
    /// Makes special tokens of `texts`, as far as they are none yet, and gives the ids of all of them. A token that is new
    /// gets the id behind the largest one.
    ///
    /// # Errors
    /// When a text is empty, or the id of a new token would be that of another.
    pub fn add_special_tokens(&mut self, texts: &[String]) -> Result<Vec<u32>> {
        if texts.iter().any(String::is_empty) {
            return Err(Error::Tokenizer("an empty text is no token".into()));
        }
        if texts.is_empty() {
            return Ok(vec![]);
        }
        let n_ids = self.n_ids();
        let is_new = |text: &&String| self.token_to_id(text).is_none();
        let new: Vec<&String> = texts.iter().filter(is_new).collect();
        let is_plain = |text: &&String| {
            let id = self.token_to_id(text);
            id.is_none_or(|id| !self.is_special(id))
        };
        let plain = texts.iter().filter(is_plain);
        let tokens: Vec<AddedToken> = plain
            .map(|text| AddedToken::from(text.as_str(), true))
            .collect();
        let inner = &mut self.inner;
        guarded(|| inner.add_special_tokens(tokens))?;
        let id_of = |text: &String| {
            let id = self.token_to_id(text);
            let id = id.ok_or_else(|| Error::Tokenizer(format!("token {text:?} has no id")))?;
            match new.contains(&text) && (id as usize) < n_ids {
                true => Err(Error::Tokenizer(format!(
                    "new token {text:?} would get id {id}, and ids up to {} are taken",
                    n_ids - 1
                ))),
                false => Ok(id),
            }
        };
        texts.iter().map(id_of).collect()
    }

    /// `tokenizer.json` and, where there is one, `tokenizer_config.json` of the tokenizer as it is now.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn to_files(&self) -> Result<Vec<(&'static str, String)>> {
        let text = guarded(|| self.inner.to_string(true))?;
        let mut files = vec![("tokenizer.json", text)];
        if !self.config.is_empty() {
            let config = self.config_with_tokens()?;
            files.push(("tokenizer_config.json", in_json(&config)?));
        }
        Ok(files)
    }

    /// Settings with every added token, where they list these.
    fn config_with_tokens(&self) -> Result<Map<String, Value>> {
        let mut config = self.config.clone();
        if let Some(listed) = config.get_mut(DECODER).and_then(Value::as_object_mut) {
            let added = self.inner.get_added_vocabulary().get_added_tokens_decoder();
            let mut added: Vec<_> = added.iter().collect();
            added.sort_by_key(|(id, _)| **id);
            for (id, token) in added {
                let token = serde_json::to_value(token).map_err(Error::json)?;
                listed.entry(id.to_string()).or_insert(token);
            }
        }
        Ok(config)
    }
}

fn in_json(fields: &Map<String, Value>) -> Result<String> {
    serde_json::to_string_pretty(fields).map_err(Error::json)
}

#[cfg(test)]
mod tests;
