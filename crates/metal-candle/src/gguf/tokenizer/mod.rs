//! The tokenizer that a file's metadata describe, as `tokenizer.json` and `tokenizer_config.json` of Hugging Face.

mod byte_level;
mod pre_tokenizer;
mod roles;
mod sentence_piece;
mod vocabulary;

pub use pre_tokenizer::{PreTokenizer, pre_tokenizers};

use super::{Error, Metadata, Result};
use serde_json::{Map, Value, json};
use vocabulary::Vocabulary;

/// Files of a tokenizer, as a folder of Hugging Face has them.
#[derive(Clone, Debug)]
pub struct TokenizerFiles {
    /// `tokenizer.json`.
    pub tokenizer: Value,
    /// `tokenizer_config.json`, with the chat templates.
    pub config: Map<String, Value>,
}

impl TokenizerFiles {
    /// The tokenizer of a model.
    ///
    /// # Errors
    /// When there is none, it is of a kind that is not built, or its parts do not fit together.
    pub fn read(metadata: &Metadata) -> Result<Self> {
        let vocabulary = Vocabulary::read(metadata)?;
        let kind = metadata.text(KIND)?;
        let mut tokenizer = match metadata.required(KIND, kind)? {
            "gpt2" => byte_level::tokenizer(metadata, &vocabulary)?,
            "llama" => sentence_piece::tokenizer(metadata, &vocabulary)?,
            other => {
                let what = format!("the tokenizer {other:?}");
                return Err(Error::unsupported(
                    metadata.path(),
                    what,
                    "tokenizers that are: gpt2, llama",
                ));
            }
        };
        tokenizer["version"] = json!("1.0");
        tokenizer["added_tokens"] = vocabulary.added_tokens();
        Ok(Self {
            tokenizer,
            config: roles::config(metadata, &vocabulary)?,
        })
    }
}

const KIND: &str = "tokenizer.ggml.model";
