//! `tokenizer.json`, read by the tokenizers crate and checked for what that crate takes in silence.

use std::collections::HashSet;
use std::path::Path;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::growth::{self, Factor};
use super::guarded;
use crate::data::added_tokens::check_id;
use crate::data::error::{Error, Result};

/// Makes a tokenizer of the text of `path`, without the truncation and padding of whoever saved it: neither
/// belongs to the tokenizer.
///
/// # Errors
/// When it is no tokenizer, or an id in it is not what the tokenizer would give.
pub(super) fn parse(path: &Path, text: &str) -> Result<tokenizers::Tokenizer> {
    let wrong = |reason: String| Error::config(path, format!("not a tokenizer: {reason}"));
    let parts: Parts = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    // Before the crate reads the file: it normalises added tokens then.
    parts
        .check_sizes()
        .map_err(|reason| Error::config(path, reason))?;
    let parsed = guarded(|| text.parse::<tokenizers::Tokenizer>());
    let mut inner = parsed.map_err(|error| match error {
        Error::Tokenizer(reason) => wrong(reason),
        error => error,
    })?;
    parts.check_ids(path, &inner)?;
    parts.tell_dropout(path);
    inner.with_padding(None);
    inner.with_truncation(None).map_err(Error::tokenizer)?;
    Ok(inner)
}

/// Parts of the file that are checked; the rest is skipped, not stored.
#[derive(Deserialize)]
struct Parts {
    #[serde(default)]
    added_tokens: Vec<Written>,
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    post_processor: Value,
    #[serde(default)]
    decoder: Value,
    model: Model,
}

#[derive(Deserialize)]
struct Written {
    id: u32,
    content: String,
}

#[derive(Deserialize)]
struct Model {
    #[serde(default)]
    vocab: Ids,
    #[serde(default)]
    dropout: Option<f32>,
}

impl Parts {
    /// Checks how long a text can become.
    fn check_sizes(&self) -> std::result::Result<(), String> {
        for (name, part) in [("normalizer", &self.normalizer), ("decoder", &self.decoder)] {
            let Factor(factor) = growth::of_text(part);
            if factor > growth::LIMIT {
                let limit = growth::LIMIT;
                return Err(format!(
                    "{name}: it may make a text {factor:.0} times as long, the limit is {limit}"
                ));
            }
        }
        growth::check_template(&self.post_processor)
    }

    /// Checks that every id is that of one token, and that added tokens have theirs.
    fn check_ids(&self, path: &Path, inner: &tokenizers::Tokenizer) -> Result<()> {
        let distinct = self.model.vocab.distinct();
        let in_vocab = distinct.map_err(|id| {
            Error::config(path, format!("model.vocab: id {id} is given to two tokens"))
        })?;
        for Written { id, content } in &self.added_tokens {
            check_id(inner, path, *id, content)?;
            let is_new = tokenizers::Model::token_to_id(inner.get_model(), content).is_none();
            if is_new && in_vocab.contains(id) {
                let reason = format!("id {id} of added token {content:?} is that of another token");
                return Err(Error::config(path, reason));
            }
        }
        Ok(())
    }

    fn tell_dropout(&self, path: &Path) {
        if let Some(dropout) = self.model.dropout.filter(|&dropout| dropout > 0.0) {
            tracing::warn!(
                "{}: dropout {dropout} leaves merges out at random, so a text has other tokens each time",
                path.display()
            );
        }
    }
}

/// Ids of a vocabulary that is written as an object; nothing where it is a list, whose ids are
/// positions.
#[derive(Default)]
struct Ids(Vec<u32>);

impl Ids {
    /// The ids as a set, or one that occurs twice.
    fn distinct(&self) -> std::result::Result<HashSet<u32>, u32> {
        let mut seen = HashSet::with_capacity(self.0.len());
        match self.0.iter().find(|&&id| !seen.insert(id)) {
            None => Ok(seen),
            Some(&twice) => Err(twice),
        }
    }
}

impl<'de> Deserialize<'de> for Ids {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(IdsVisitor)
    }
}

struct IdsVisitor;

impl<'de> Visitor<'de> for IdsVisitor {
    type Value = Ids;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a vocabulary")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Ids, A::Error> {
        let mut ids = vec![];
        while let Some((IgnoredAny, id)) = map.next_entry()? {
            ids.push(id);
        }
        Ok(Ids(ids))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Ids, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Ids::default())
    }
}
