//! Settings of `tokenizer_config.json` that change nothing where there is a `tokenizer.json`; told
//! where the two disagree.

use std::path::Path;

use serde_json::{Map, Value};

use super::Tokenizer;
use crate::data::special_tokens::{SpecialTokens, added_token};

/// Marks of a blank in front of a word, in vocabularies of bytes and of SentencePiece.
const BLANKS: [char; 2] = ['Ġ', '▁'];

/// Tells every setting that `tokenizer.json` overrules, as it does in transformers 5.
pub(super) fn tell(tokenizer: &Tokenizer, path: &Path, config: &Map<String, Value>) {
    let flag = |name: &str| config.get(name).and_then(Value::as_bool);
    let differs = |name, does: Option<bool>| {
        if let (Some(says), Some(does)) = (flag(name), does)
            && says != does
        {
            tracing::warn!(
                "{}: {name} is {says}, but tokenizer.json decides, and there it is {does}",
                path.display()
            );
        }
    };
    differs("add_bos_token", adds(tokenizer, tokenizer.bos_token()));
    differs("add_eos_token", adds(tokenizer, tokenizer.eos_token()));
    differs("add_prefix_space", prefix_space(tokenizer));
    if flag("clean_up_tokenization_spaces") == Some(true) && !tokenizer.is_bpe() {
        tracing::warn!(
            "{}: clean_up_tokenization_spaces is not applied: generated text keeps its blanks before punctuation",
            path.display()
        );
    }
}

/// Tells every role that both files name, with different tokens.
pub(super) fn tell_conflicts(
    path: &Path,
    config: &Map<String, Value>,
    map: &Map<String, Value>,
    used: &SpecialTokens,
) {
    let token =
        |file: &Map<String, Value>, role: &str| Some(added_token(file.get(role)?, true)?.content);
    for role in map.keys().filter(|role| role.ends_with("_token")) {
        if let (Some(here), Some(there)) = (token(config, role), token(map, role))
            && here != there
        {
            tracing::warn!(
                "{}: {role} is {here:?}, but {there:?} in special_tokens_map.json; {:?} is used, as transformers does",
                path.display(),
                used.get(role).unwrap_or_default()
            );
        }
    }
}

fn adds(tokenizer: &Tokenizer, token: Option<(String, u32)>) -> Option<bool> {
    let (_, id) = token?;
    Some(tokenizer.encode("").ok()?.contains(&id))
}

/// Whether the first word of a text is spelt as one after a blank.
fn prefix_space(tokenizer: &Tokenizer) -> Option<bool> {
    let first = *tokenizer.encode_raw("a").ok()?.first()?;
    Some(tokenizer.id_to_token(first)?.starts_with(BLANKS))
}
