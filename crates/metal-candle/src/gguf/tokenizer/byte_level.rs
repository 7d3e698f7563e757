//! Pairs of byte-level pieces that are merged (`gpt2`).

use super::pre_tokenizer::{PreTokenizer, pre_tokenizers};
use super::roles;
use super::vocabulary::Vocabulary;
use crate::gguf::{Error, Metadata, Result};
use serde_json::{Value, json};

const PRE: &str = "tokenizer.ggml.pre";
const MERGES: &str = "tokenizer.ggml.merges";

/// `tokenizer.json` without its added tokens.
pub(super) fn tokenizer(metadata: &Metadata, vocabulary: &Vocabulary<'_>) -> Result<Value> {
    let pre = pre_tokenizer(metadata)?;
    let merges = metadata.required(MERGES, metadata.texts(MERGES)?)?;
    let byte_level = json!({
        "type": "ByteLevel",
        "add_prefix_space": false,
        "trim_offsets": false,
        "use_regex": false,
    });
    let around = roles::post_processor(metadata, vocabulary, [pre.adds_bos, false])?;
    let post_processor = match around {
        Some(around) => json!({"type": "Sequence", "processors": [byte_level, around]}),
        None => byte_level.clone(),
    };
    Ok(json!({
        "normalizer": pre.normalizer(),
        "pre_tokenizer": pre.to_json(),
        "post_processor": post_processor,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": pre.ignore_merges,
            "vocab": vocabulary.ids(),
            "merges": merges,
        },
    }))
}

/// How words are cut. Files of the first months do not say: they are GPT-2's for transformers, and a warning for llama.cpp.
fn pre_tokenizer(metadata: &Metadata) -> Result<PreTokenizer> {
    let name = metadata.text(PRE)?.unwrap_or_else(|| {
        let path = metadata.path().display();
        tracing::warn!("{path}: {PRE} is missing: words are cut as GPT-2's are, which other models answer worse to");
        "gpt-2"
    });
    PreTokenizer::named(name).ok_or_else(|| {
        let names: Vec<_> = pre_tokenizers()
            .flat_map(|pre| pre.names)
            .copied()
            .collect();
        let reason = format!("ways to cut words that are: {}", names.join(", "));
        Error::unsupported(metadata.path(), format!("{PRE} {name:?}"), reason)
    })
}
