//! Pieces with scores (`llama`), as SentencePiece's pair encoding makes them: of two neighbours those are merged whose
//! merged piece has the best score.

use super::roles;
use super::vocabulary::Vocabulary;
use crate::gguf::{Metadata, Result, shown};
use serde_json::{Value, json};
use std::cmp::Reverse;

const SCORES: &str = "tokenizer.ggml.scores";
const TOKENS: &str = "tokenizer.ggml.tokens";
const MERGES: &str = "tokenizer.ggml.merges";

/// Most bytes of a piece; the longest in use has some ninety.
const LONGEST: usize = 256;

/// `tokenizer.json` without its added tokens.
pub(super) fn tokenizer(metadata: &Metadata, vocabulary: &Vocabulary<'_>) -> Result<Value> {
    let merges = match metadata.texts(MERGES)? {
        Some(merges) => merges
            .iter()
            .map(|merge| Value::from(merge.as_str()))
            .collect(),
        None => merges(metadata, vocabulary)?,
    };
    let prefix = metadata
        .flag("tokenizer.ggml.add_space_prefix")?
        .unwrap_or(true);
    Ok(json!({
        "normalizer": normalizer(prefix),
        "pre_tokenizer": null,
        "post_processor": roles::post_processor(metadata, vocabulary, [true, false])?,
        "decoder": decoder(prefix),
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": vocabulary.unknown(),
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": true,
            "byte_fallback": true,
            "ignore_merges": false,
            "vocab": vocabulary.ids(),
            "merges": merges,
        },
    }))
}

/// Blanks become `▁`, and one is put before a text.
fn normalizer(prefix: bool) -> Value {
    let blanks = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
    match prefix {
        true => {
            json!({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, blanks]})
        }
        false => blanks,
    }
}

fn decoder(prefix: bool) -> Value {
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if prefix {
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    json!({"type": "Sequence", "decoders": decoders})
}

/// Every pair of tokens that is a token together, the best one first, as transformers' `generate_merges` orders them.
/// Gemma's scores do not follow the order of its merges, but its ids do.
fn merges(metadata: &Metadata, vocabulary: &Vocabulary<'_>) -> Result<Value> {
    let tokens = vocabulary.tokens;
    let scores = metadata.required(SCORES, metadata.floats(SCORES)?)?;
    if scores.len() != tokens.len() {
        let expected = format!("a list of {}, one for each token", tokens.len());
        return Err(metadata.wrong(SCORES, expected, scores.len()));
    }
    let is_gemma = metadata
        .text("general.architecture")?
        .is_some_and(|name| name.starts_with("gemma"));
    let mut merges = vec![];
    for (id, token) in tokens.iter().enumerate() {
        if token.len() > LONGEST {
            let got = format!("{} of {} bytes", shown(token), token.len());
            return Err(metadata.wrong(TOKENS, format!("pieces of at most {LONGEST} bytes"), got));
        }
        let score = match is_gemma {
            true => -(id as f64),
            false => scores[id].into(),
        };
        let mut own: Vec<_> = token
            .char_indices()
            .skip(1)
            .filter_map(|(at, _)| pair(vocabulary, token, at))
            .collect();
        own.sort_unstable();
        merges.extend(
            own.into_iter()
                .map(|(left, right)| (score, &*tokens[left], &*tokens[right])),
        );
    }
    let n_chars = |text: &str| Reverse(text.chars().count());
    merges.sort_by(|a: &(f64, &str, &str), b| {
        let by_score = b.0.total_cmp(&a.0);
        by_score.then_with(|| (n_chars(a.1), n_chars(a.2)).cmp(&(n_chars(b.1), n_chars(b.2))))
    });
    Ok(merges
        .into_iter()
        .map(|(_, left, right)| json!([left, right]))
        .collect())
}

/// Ids of the two parts of a token, where both are tokens.
fn pair(vocabulary: &Vocabulary<'_>, token: &str, at: usize) -> Option<(usize, usize)> {
    let (left, right) = token.split_at(at);
    Some((vocabulary.id(left)?, vocabulary.id(right)?))
}
