//! A small tokenizer trained on the spot: byte-level BPE with the split pattern of Qwen2.

use std::collections::HashSet;
use std::path::Path;

use serde_json::json;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior};

use super::error::{Error, Result};
use crate::files;

/// Qwen2's pattern of words (`tokenizer.json` of Qwen/Qwen2-0.5B): GPT-4's pattern, but
/// every digit alone.
const SPLIT: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// One token for each byte, so that any text can be spelt.
const N_BYTES: usize = 256;

/// Trains a byte-level BPE tokenizer with at most `vocab_size` tokens; the special tokens come
/// last. The same texts give the same tokenizer.
///
/// # Errors
/// When `vocab_size` has no room for the bytes and the special tokens.
pub fn train_bpe(
    texts: &[String],
    vocab_size: usize,
    special_tokens: &[&str],
) -> Result<tokenizers::Tokenizer> {
    let needed = N_BYTES + special_tokens.len();
    if vocab_size < needed {
        return Err(Error::VocabTooSmall { vocab_size, needed });
    }
    let mut tokenizer = tokenizers::Tokenizer::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(pre_tokenizer()?));
    tokenizer.with_decoder(Some(byte_level()));
    tokenizer.with_post_processor(Some(byte_level()));
    let mut trainer = TrainerWrapper::from(
        BpeTrainerBuilder::new()
            .vocab_size(vocab_size - special_tokens.len())
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect::<HashSet<_>>())
            .show_progress(false)
            .build(),
    );
    tokenizer
        .train(&mut trainer, texts.iter())
        .map_err(Error::tokenizer)?;
    let special = special_tokens
        .iter()
        .map(|&token| AddedToken::from(token, true));
    tokenizer
        .add_special_tokens(special)
        .map_err(Error::tokenizer)?;
    Ok(tokenizer)
}

fn pre_tokenizer() -> Result<Sequence> {
    let split = Split::new(
        SplitPattern::Regex(SPLIT.to_owned()),
        SplitDelimiterBehavior::Isolated,
        false,
    );
    Ok(Sequence::new(vec![
        PreTokenizerWrapper::Split(split.map_err(Error::tokenizer)?),
        PreTokenizerWrapper::ByteLevel(byte_level()),
    ]))
}

fn byte_level() -> ByteLevel {
    ByteLevel::new(false, false, false)
}

/// Writes `tokenizer.json` and `tokenizer_config.json` as Hugging Face's tokenizers read them.
///
/// # Errors
/// When `eos_token` is not in the vocabulary or a file cannot be written.
pub fn write_tokenizer(
    folder: &Path,
    tokenizer: &tokenizers::Tokenizer,
    eos_token: &str,
    chat_template: Option<&str>,
) -> Result<()> {
    let config_path = folder.join("tokenizer_config.json");
    if tokenizer.token_to_id(eos_token).is_none() {
        let reason = format!("eos_token {eos_token:?} is not in the vocabulary");
        return Err(Error::config(&config_path, reason));
    }
    let mut config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": null,
        "eos_token": eos_token,
        "pad_token": eos_token,
        "clean_up_tokenization_spaces": false,
        "add_prefix_space": false,
    });
    if let Some(template) = chat_template {
        config["chat_template"] = json!(template);
    }
    files::make_folder(folder)?;
    files::write_json(&folder.join("tokenizer.json"), &**tokenizer)?;
    files::write_json(&config_path, &config)?;
    Ok(())
}

#[cfg(test)]
mod tests;
