//! `config.json` and `generation_config.json`. A field that is not understood is an error, unless
//! it changes nothing.

pub(super) mod fields;
mod generation;
mod quantization;
#[cfg(test)]
mod tests;
mod unknown;
mod window;

pub use generation::GenerationConfig;
pub use quantization::{Packing, Quantization};

use super::json::{CONFIG_LIMIT_BYTES, read_object, shown_name};
use super::rope::RopeConfig;
use super::{Error, Result, recognise};
use crate::files;
use fields::Fields;
use serde_json::{Map, Value};
use std::path::Path;

/// `config.json` of a decoder, in Hugging Face's names; the spellings of transformers 4 and 5.
#[derive(Clone, Debug)]
pub struct Config {
    /// Family of the model; see [`super::MODEL_TYPES`].
    pub model_type: String,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the feed-forward layers.
    pub intermediate_size: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Number of query heads.
    pub num_attention_heads: usize,
    /// Number of key-value heads; as many as query heads where the file does not say.
    pub num_key_value_heads: usize,
    /// Width of a head; `hidden_size / num_attention_heads` where the file does not say.
    pub head_dim: usize,
    /// Added to the mean square in every norm.
    pub rms_norm_eps: f64,
    /// Number of tokens.
    pub vocab_size: usize,
    /// Longest sequence in tokens.
    pub max_position_embeddings: usize,
    /// The output head is the embedding.
    pub tie_word_embeddings: bool,
    /// Biases on the attention's projections; the meaning is the model type's.
    pub attention_bias: bool,
    /// Biases in the feed-forward layers.
    pub mlp_bias: bool,
    /// Ends of a text, where `generation_config.json` does not say.
    pub eos_token_ids: Vec<u32>,
    /// Deviation of weights that are made from nothing.
    pub initializer_range: Option<f64>,
    /// How matrices are packed, where they are.
    pub quantization: Option<Quantization>,
    rope: RopeConfig,
}

/// Widest head: angles are computed for each pair of its numbers before any file is compared.
const WIDEST_HEAD: usize = 1 << 16;

impl Config {
    /// Reads `config.json` in `folder`, and the file as it is, for writing it again.
    ///
    /// # Errors
    /// When the file is missing or malformed, or asks for what is not built.
    pub fn read(folder: &Path) -> Result<(Self, Value)> {
        recognise::by_files(folder)?;
        let path = folder.join("config.json");
        if !files::is_there(&path) {
            recognise::instead_of_config(folder)?;
        }
        let object = read_object(&path, CONFIG_LIMIT_BYTES)?;
        let config = Self::from_object(&object, &path)?;
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
        super::check_model_type(model_type)?;
        let config = Self::from_fields(model_type, &mut fields, path)?;
        unknown::check(&fields, path)?;
        Ok(config)
    }

    fn from_fields(model_type: &str, fields: &mut Fields<'_>, path: &Path) -> Result<Self> {
        let mut size = |name| {
            let size = fields.size(name)?;
            fields.required(name, size)
        };
        let (vocab_size, hidden_size) = (size("vocab_size")?, size("hidden_size")?);
        let intermediate_size = size("intermediate_size")?;
        let num_hidden_layers = size("num_hidden_layers")?;
        let max_position_embeddings = size("max_position_embeddings")?;
        let heads = Heads::take(fields, hidden_size)?;
        check_activation(fields)?;
        window::check_full_attention(
            fields,
            model_type,
            num_hidden_layers,
            max_position_embeddings,
        )?;
        Ok(Self {
            model_type: model_type.to_string(),
            hidden_size,
            intermediate_size,
            num_hidden_layers,
            num_attention_heads: heads.queries,
            num_key_value_heads: heads.key_values,
            head_dim: heads.width,
            rms_norm_eps: norm_eps(fields)?,
            vocab_size,
            max_position_embeddings,
            tie_word_embeddings: fields.flag("tie_word_embeddings")?,
            attention_bias: fields.flag("attention_bias")?,
            mlp_bias: fields.flag("mlp_bias")?,
            eos_token_ids: fields.token_ids("eos_token_id")?,
            initializer_range: fields.number("initializer_range", 0.0..=1e3)?,
            quantization: Quantization::take(fields)?,
            rope: RopeConfig::take(fields, max_position_embeddings, path)?,
        })
    }

    /// The rotary embedding, from either spelling.
    #[must_use]
    pub fn rope(&self) -> &RopeConfig {
        &self.rope
    }
}

/// Numbers of heads, and their width.
struct Heads {
    queries: usize,
    key_values: usize,
    width: usize,
}

impl Heads {
    fn take(fields: &mut Fields<'_>, hidden_size: usize) -> Result<Self> {
        let queries = fields.size("num_attention_heads")?;
        let queries = fields.required("num_attention_heads", queries)?;
        let key_values = fields.size("num_key_value_heads")?.unwrap_or(queries);
        if queries % key_values != 0 {
            let expected = format!("a divisor of num_attention_heads = {queries}");
            return Err(fields.wrong("num_key_value_heads", expected, key_values));
        }
        let width = match fields.size("head_dim")? {
            Some(width) => width,
            None if hidden_size.is_multiple_of(queries) => hidden_size / queries,
            None => {
                let expected = format!("a divisor of hidden_size = {hidden_size}");
                return Err(fields.wrong("num_attention_heads", expected, queries));
            }
        };
        match width % 2 == 0 && width <= WIDEST_HEAD {
            true => Ok(Self {
                queries,
                key_values,
                width,
            }),
            false => Err(fields.wrong("head_dim", format!("even, at most {WIDEST_HEAD}"), width)),
        }
    }
}

/// `swish` is another name of `silu` in transformers.
fn check_activation(fields: &mut Fields<'_>) -> Result<()> {
    match fields.text("hidden_act")?.unwrap_or("silu") {
        "silu" | "swish" => Ok(()),
        other => Err(Error::unsupported(
            "hidden_act",
            shown_name(other),
            "only silu is built",
        )),
    }
}

/// Far below the smallest that is in use, and still a float32 that is not zero.
fn norm_eps(fields: &mut Fields<'_>) -> Result<f64> {
    let eps = fields.number("rms_norm_eps", 1e-30..=1.0)?;
    fields.required("rms_norm_eps", eps)
}
