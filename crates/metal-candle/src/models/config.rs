use super::{Error, Result, rope::RopeConfig};
use crate::files;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::Path;

/// `config.json` of a decoder, in Hugging Face's names; the spellings of transformers 4 and 5.
#[derive(Clone, Debug, Deserialize)]
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
    /// Number of key-value heads; as many as query heads where absent.
    pub num_key_value_heads: Option<usize>,
    /// Width of a head; `hidden_size / num_attention_heads` where absent.
    pub head_dim: Option<usize>,
    /// Added to the mean square in every norm.
    pub rms_norm_eps: f64,
    /// Number of tokens.
    pub vocab_size: usize,
    /// Longest sequence in tokens.
    pub max_position_embeddings: usize,
    /// The output head is the embedding.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    /// Biases on the attention's projections; the meaning is the model type's.
    #[serde(default)]
    pub attention_bias: bool,
    /// Biases in the feed-forward layers.
    #[serde(default)]
    pub mlp_bias: bool,
    /// Activation of the gate.
    pub hidden_act: String,
    /// Attention over a window only.
    #[serde(default)]
    pub use_sliding_window: bool,
    /// Kind of attention of each block.
    pub layer_types: Option<Vec<String>>,
    /// Rotary embedding, as transformers 5 spells it.
    rope_parameters: Option<RopeConfig>,
    /// Base of the rotary embedding, as transformers 4 spells it.
    rope_theta: Option<f64>,
    /// Scaling of the rotary embedding, as transformers 4 spells it.
    rope_scaling: Option<RopeConfig>,
    /// Share of a head's width that is rotated, as transformers 4 spells it.
    partial_rotary_factor: Option<f64>,
    /// Ends of a text, where `generation_config.json` does not say.
    pub eos_token_id: Option<TokenIds>,
    /// Weights of another kind than plain floats.
    quantization_config: Option<Value>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// One token, or several.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum TokenIds {
    /// One.
    One(u32),
    /// Several.
    Many(Vec<u32>),
}

impl TokenIds {
    /// The tokens as a list.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u32> {
        match self {
            Self::One(id) => vec![*id],
            Self::Many(ids) => ids.clone(),
        }
    }
}

/// Fields that say nothing about what is computed here.
const HARMLESS: &[&str] = &[
    "_name_or_path",
    "architectures",
    "attention_dropout",
    "bos_token_id",
    "dtype",
    "initializer_range",
    "max_window_layers",
    "pad_token_id",
    "pretraining_tp",
    "sliding_window",
    "torch_dtype",
    "transformers_version",
    "use_cache",
    "use_mrope",
];

impl Config {
    /// Reads `config.json` in `folder`, and the file as it is, for writing it again.
    ///
    /// # Errors
    /// When the file is missing or malformed, or asks for what is not built.
    pub fn read(folder: &Path) -> Result<(Self, Value)> {
        let path = folder.join("config.json");
        let raw =
            serde_json::from_str(&files::read_text(&path)?).map_err(|source| Error::Json {
                path: path.clone(),
                source,
            })?;
        Ok((Self::parse(&raw, &path)?, raw))
    }

    /// The configuration in `raw`; `path` is named in errors.
    ///
    /// # Errors
    /// When a field is missing or malformed, or asks for what is not built.
    pub fn parse(raw: &Value, path: &Path) -> Result<Self> {
        // The model type first: other families lack fields, which would be a puzzling error.
        super::check_model_type(raw.get("model_type").and_then(Value::as_str).unwrap_or(""))?;
        let config = Self::deserialize(raw).map_err(|source| Error::Json {
            path: path.to_path_buf(),
            source,
        })?;
        config.check()?;
        Ok(config)
    }

    /// Number of key-value heads.
    #[must_use]
    pub fn n_kv_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// Width of a head.
    #[must_use]
    pub fn head_dim(&self) -> usize {
        self.head_dim
            .unwrap_or(self.hidden_size / self.num_attention_heads.max(1))
    }

    /// The rotary embedding, from either spelling.
    #[must_use]
    pub fn rope(&self) -> RopeConfig {
        let spelled = self.rope_parameters.as_ref().or(self.rope_scaling.as_ref());
        let mut rope = spelled.cloned().unwrap_or_default();
        rope.rope_theta = rope.rope_theta.or(self.rope_theta);
        rope.partial_rotary_factor = rope.partial_rotary_factor.or(self.partial_rotary_factor);
        rope
    }

    fn check(&self) -> Result<()> {
        if self.hidden_act != "silu" {
            return Err(Error::unsupported(
                "hidden_act",
                &self.hidden_act,
                "only silu is built",
            ));
        }
        if let Some(config) = &self.quantization_config {
            return Err(Error::unsupported(
                "quantization_config",
                config,
                "weights must be plain",
            ));
        }
        self.check_heads()?;
        self.check_full_attention()?;
        self.rope().check()?;
        self.say_unknown_fields();
        Ok(())
    }

    fn check_heads(&self) -> Result<()> {
        let (heads, kv_heads) = (self.num_attention_heads, self.n_kv_heads());
        if kv_heads == 0 || heads % kv_heads != 0 {
            let reason = "query heads must be a multiple of key-value heads";
            return Err(Error::unsupported("num_key_value_heads", kv_heads, reason));
        }
        match self.head_dim() {
            d if d > 0 && d % 2 == 0 => Ok(()),
            d => Err(Error::unsupported("head_dim", d, "must be even")),
        }
    }

    fn check_full_attention(&self) -> Result<()> {
        let reason = "attention over a window is not built";
        if self.use_sliding_window {
            return Err(Error::unsupported("use_sliding_window", true, reason));
        }
        let mut kinds = self.layer_types.iter().flatten();
        match kinds.find(|kind| *kind != "full_attention") {
            Some(kind) => Err(Error::unsupported("layer_types", kind, reason)),
            None => Ok(()),
        }
    }

    fn say_unknown_fields(&self) {
        let unknown: Vec<&str> = self
            .others
            .iter()
            .filter(|(name, value)| !HARMLESS.contains(&name.as_str()) && !value.is_null())
            .map(|(name, _)| name.as_str())
            .collect();
        if !unknown.is_empty() {
            tracing::warn!(
                "config.json: fields that metal-candle does not know: {}",
                unknown.join(", ")
            );
        }
    }
}

/// `generation_config.json`, as far as it is used.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct GenerationConfig {
    /// Tokens that end a text.
    pub eos_token_id: Option<TokenIds>,
}

impl GenerationConfig {
    /// Reads `generation_config.json` in `folder`; defaults where there is none.
    ///
    /// # Errors
    /// When the file exists and is malformed.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("generation_config.json");
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = files::read_text(&path)?;
        serde_json::from_str(&text).map_err(|source| Error::Json { path, source })
    }
}
