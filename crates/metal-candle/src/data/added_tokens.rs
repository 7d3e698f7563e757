//! Tokens that the files beside `tokenizer.json` add to its vocabulary, as transformers 5 adds them
//! (`TokenizersBackend.__init__`).

use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use super::error::{Error, Result};
use super::special_tokens::{DECODER, SpecialTokens, added_token};
use super::tokenizer::guarded;

/// Files beside `tokenizer.json` that name tokens; empty objects where a file is absent.
pub(super) struct Beside<'a> {
    /// `tokenizer_config.json`.
    pub(super) config: (&'a Path, &'a Map<String, Value>),
    /// `added_tokens.json`: tokens and their ids. It counts only where the configuration has no
    /// `added_tokens_decoder`.
    pub(super) added: (&'a Path, &'a Map<String, Value>),
}

/// A token with the id that its file writes.
type Declared = (u32, AddedToken);

/// Adds the tokens of `added_tokens_decoder` or `added_tokens.json` in the order of their ids, with
/// their flags, which win over those of `tokenizer.json`; then every special token that is not
/// among the added tokens yet.
///
/// # Errors
/// When a token would get another id than the file writes: the model was trained with that one.
pub(super) fn add(
    inner: &mut tokenizers::Tokenizer,
    files: &Beside<'_>,
    special: &SpecialTokens,
) -> Result<()> {
    let (path, mut declared) = files.declared(special)?;
    declared.sort_by_key(|&(id, _)| id);
    let mut tokens: Vec<AddedToken> = declared.iter().map(|(_, token)| token.clone()).collect();
    if !files.has_decoder() {
        tokens.extend(become_special(inner, special));
    }
    let mut known = |token: &&AddedToken| {
        let known = is_added(inner, token) || tokens.iter().any(|t| t.content == token.content);
        !known
    };
    let wanted: Vec<AddedToken> = special
        .named()
        .iter()
        .chain(special.extra())
        .filter(&mut known)
        .cloned()
        .collect();
    tokens.extend(wanted);
    if !tokens.is_empty() {
        guarded(|| inner.add_tokens(tokens))?;
    }
    declared
        .iter()
        .try_for_each(|(id, token)| check_id(inner, path, *id, &token.content))
}

/// Checks that `token` has the id that the file at `path` writes.
///
/// # Errors
/// When it has another, or none.
pub(super) fn check_id(
    inner: &tokenizers::Tokenizer,
    path: &Path,
    id: u32,
    token: &str,
) -> Result<()> {
    let given = match inner.token_to_id(token) {
        Some(given) if given == id => return Ok(()),
        Some(given) => format!("it gets {given}"),
        None => "it gets none".to_owned(),
    };
    let reason = format!(
        "token {token:?} is written with id {id}, but {given}: added tokens follow the vocabulary without gaps"
    );
    Err(Error::config(path, reason))
}

fn is_added(inner: &tokenizers::Tokenizer, token: &AddedToken) -> bool {
    inner
        .get_added_vocabulary()
        .get_vocab()
        .contains_key(&token.content)
}

/// Added tokens of `tokenizer.json` that fill a role without being special there.
fn become_special(inner: &tokenizers::Tokenizer, special: &SpecialTokens) -> Vec<AddedToken> {
    let added = inner
        .get_added_vocabulary()
        .get_added_tokens_decoder()
        .values();
    let named = added.filter(|token| !token.special && special.is_named(&token.content));
    named.map(|token| token.clone().special(true)).collect()
}

impl<'a> Beside<'a> {
    fn has_decoder(&self) -> bool {
        self.config.1.contains_key(DECODER)
    }

    /// Tokens with ids, and the file that names them.
    fn declared(&self, special: &SpecialTokens) -> Result<(&'a Path, Vec<Declared>)> {
        let (path, config) = self.config;
        let found = match config.get(DECODER) {
            None => {
                let (path, added) = self.added;
                return Ok((path, legacy(path, added, config, special)?));
            }
            Some(Value::Object(entries)) => entries.iter().map(|(id, token)| {
                let token = token
                    .is_object()
                    .then(|| added_token(token, false))
                    .flatten();
                Some((id.parse().ok()?, token?))
            }),
            Some(_) => return Err(Error::config(path, DECODER_EXPECTED.to_owned())),
        };
        let found: Option<Vec<Declared>> = found.collect();
        let mut found = found.ok_or_else(|| Error::config(path, DECODER_EXPECTED.to_owned()))?;
        for (_, token) in &mut found {
            token.special |= special.is_named(&token.content);
        }
        Ok((path, found))
    }
}

const DECODER_EXPECTED: &str =
    "added_tokens_decoder: expected an object from token ids to objects with \"content\"";

/// Tokens of `added_tokens.json`: special where they fill a role or are listed, and those that are
/// not special are looked for in normalised text.
fn legacy(
    path: &Path,
    added: &Map<String, Value>,
    config: &Map<String, Value>,
    special: &SpecialTokens,
) -> Result<Vec<Declared>> {
    let listed = config.get("extra_special_tokens").and_then(Value::as_array);
    let is_listed =
        |token: &String| listed.is_some_and(|list| list.iter().any(|t| t.as_str() == Some(token)));
    let entry = |(token, id): (&String, &Value)| {
        let id = u32::try_from(id.as_u64()?).ok()?;
        let is_special = special.is_named(token) || is_listed(token);
        Some((id, AddedToken::from(token.as_str(), is_special)))
    };
    let all: Option<Vec<Declared>> = added.iter().map(entry).collect();
    all.ok_or_else(|| Error::config(path, "expected an object from tokens to ids".to_owned()))
}

#[cfg(test)]
mod tests;
