//! `config.json` and `generation_config.json`. A field that is not understood is an error, unless
//! it changes nothing.

pub(super) mod fields;
mod generation;
pub(super) mod quantization;
#[cfg(test)]
mod tests;
mod unknown;

pub use generation::GenerationConfig;
pub use quantization::{
    Bits, BitsAndBytes, Fp8, Mlx, Mode, OnLoad, Packing, Quantization, Skipped, ZeroPoint,
};

use super::families::{self, Family};
use super::json::{CONFIG_LIMIT_BYTES, read_object};
use super::layers::rope::RopeConfig;
use super::{Result, gguf, recognise};
use crate::experts::Stacks;
use crate::files;
use crate::gguf::GgufFile;
use fields::Fields;
use serde_json::{Map, Value};
use std::path::Path;
use std::sync::Arc;

/// `config.json` of a decoder, in Hugging Face's names; the spellings of transformers 4 and 5.
#[derive(Clone, Debug)]
pub struct Config {
    /// Family of the model; see [`super::MODEL_TYPES`].
    pub model_type: String,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Number of tokens.
    pub vocab_size: usize,
    /// Longest sequence in tokens.
    pub max_position_embeddings: usize,
    /// Ends of a text, where `generation_config.json` does not say.
    pub eos_token_ids: Vec<u32>,
    /// Deviation of weights that are made from nothing.
    pub initializer_range: Option<f64>,
    /// How matrices are packed, where they are.
    pub quantization: Option<Quantization>,
    /// What the family reads.
    pub(super) family: Arc<dyn Family>,
}

/// Sizes by which a family reads its settings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Width of the residual stream.
    pub(super) hidden: usize,
    pub(super) n_blocks: usize,
    /// Longest sequence.
    pub(super) max_tokens: usize,
}

impl Config {
    /// Reads `config.json` in the folder `path`, and the file as it is, for writing it again; or what it would be of the
    /// GGUF file `path`.
    ///
    /// # Errors
    /// When the file is missing or malformed, or asks for what is not built.
    pub fn read(path: &Path) -> Result<(Self, Value)> {
        if GgufFile::is_at(path) {
            let object = gguf::config(&GgufFile::open(path)?)?;
            return Ok((Self::from_object(&object, path)?, object.into()));
        }
        recognise::by_files(path)?;
        let file = path.join("config.json");
        if !files::is_there(&file) {
            recognise::instead_of_config(path)?;
        }
        let object = read_object(&file, CONFIG_LIMIT_BYTES)?;
        let config = Self::from_object(&object, &file)?;
        Ok((config, object.into()))
    }

    /// The configuration in `raw`; `path` is named in errors.
    ///
    /// # Errors
    /// When a field is missing or malformed, or asks for what is not built.
    pub fn parse(raw: &Value, path: &Path) -> Result<Self> {
        match raw {
            Value::Object(object) => Self::from_object(object, path),
            _ => Self::from_object(&Map::new(), path),
        }
    }

    fn from_object(object: &Map<String, Value>, path: &Path) -> Result<Self> {
        // What it is first: other models lack fields, which would be a puzzling error.
        recognise::by_config(object, path)?;
        let mut fields = Fields::new(object, path);
        let model_type = fields.text("model_type")?.unwrap_or("");
        let read = families::find(model_type)?;
        let config = Self::from_fields(model_type, read, &mut fields)?;
        unknown::check(&fields, path)?;
        Ok(config)
    }

    fn from_fields(
        model_type: &str,
        read: families::Read,
        fields: &mut Fields<'_>,
    ) -> Result<Self> {
        let mut size = |name| {
            let size = fields.size(name)?;
            fields.required(name, size)
        };
        let (vocab_size, hidden) = (size("vocab_size")?, size("hidden_size")?);
        let sizes = Sizes {
            hidden,
            n_blocks: size("num_hidden_layers")?,
            max_tokens: size("max_position_embeddings")?,
        };
        Ok(Self {
            model_type: model_type.to_string(),
            hidden_size: hidden,
            num_hidden_layers: sizes.n_blocks,
            vocab_size,
            max_position_embeddings: sizes.max_tokens,
            eos_token_ids: fields.token_ids("eos_token_id")?,
            initializer_range: fields.number("initializer_range", 0.0..=1e3)?,
            quantization: Quantization::take(fields)?,
            family: read(fields, sizes)?,
        })
    }

    /// Order in which files have all experts of a block together.
    #[must_use]
    pub fn stacks(&self) -> Stacks {
        self.family.stacks()
    }

    /// Rotary embeddings, from either spelling.
    #[must_use]
    pub fn ropes(&self) -> Vec<RopeConfig> {
        self.family.frame().ropes
    }
}
