//! What the supported families have in common: where each weight is found, in data order.

use super::Result;
use super::checkpoint::Checkpoint;
use super::config::Config;
use super::decoder::Decoder;
use super::json::shown_name;
use super::layers::{Attention, Block, Mlp, RmsNorm};
use super::recognise;
use super::rope::Rope;
use super::weights::{Init, Weights};
use crate::lora::{Embedding, Linear};

/// How the blocks of a family differ from each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variant {
    /// Biases on the query, key and value projections.
    pub(super) qkv_bias: bool,
    /// A bias on the attention's output projection.
    pub(super) o_bias: bool,
    /// Biases in the feed-forward layer.
    pub(super) mlp_bias: bool,
    /// Norms over each head of queries and keys.
    pub(super) qk_norm: bool,
}

const EMBEDDING: &str = "model.embed_tokens";
const HEAD: &str = "lm_head";

/// Compares names, shapes and dtypes of a checkpoint with what its configuration calls for, before
/// anything of the configuration's sizes is allocated.
pub(super) fn check(config: &Config, variant: Variant, checkpoint: &Checkpoint) -> Result<()> {
    if config.quantization.is_none() {
        recognise::by_tensors(&checkpoint.folder, checkpoint.names())?;
    }
    let weights = Weights::headers(checkpoint, config.quantization.as_ref());
    check_packed(config, checkpoint, &weights);
    let (asked, there) = (config.num_hidden_layers, checkpoint.n_blocks());
    if asked != there {
        weights.problem(format!(
            "num_hidden_layers is {asked}, but the files hold {there} blocks"
        ));
    }
    if let (0, Some(first)) = (there, checkpoint.names().next()) {
        let first = shown_name(first);
        weights.problem(format!(
            "no tensor is named model.layers.0..., the first is {first}"
        ));
    }
    // A block has several tensors: with fewer tensors than blocks there is no use in naming each
    // that is missing.
    if asked <= checkpoint.len() {
        decoder(config, variant, &weights)?;
        return weights.finish();
    }
    weights.fail()
}

/// Notes what the configuration says of packed matrices that are not there.
fn check_packed(config: &Config, checkpoint: &Checkpoint, weights: &Weights<'_>) {
    let Some(quantization) = &config.quantization else {
        return;
    };
    for path in quantization.named() {
        if !weights.has(&format!("{path}.scales")) {
            let path = shown_name(path);
            weights.problem(format!("missing {path}.scales, which quantization names"));
        }
    }
    if !checkpoint.names().any(|name| name.ends_with(".scales")) {
        weights.problem("quantization is given, but no tensor is quantized".into());
    }
}

/// Takes every weight of a decoder from `weights`.
pub(super) fn decoder(config: &Config, variant: Variant, weights: &Weights<'_>) -> Result<Decoder> {
    let (v, d) = (config.vocab_size, config.hidden_size);
    let tied = config.tie_word_embeddings;
    // Tied weights may be stored as the head alone.
    let has = |path: &str| weights.has(&format!("{path}.weight"));
    let embedding = match tied && !has(EMBEDDING) && has(HEAD) {
        true => HEAD,
        false => EMBEDDING,
    };
    let embed_tokens = Embedding::new(EMBEDDING, weights.matrix(embedding, (v, d))?);
    let builder = Builder {
        config,
        variant,
        weights,
    };
    let layers = (0..config.num_hidden_layers)
        .map(|i| builder.block(&format!("model.layers.{i}")))
        .collect::<Result<_>>()?;
    let norm = builder.norm("model.norm", d)?;
    let lm_head = match tied {
        // It may be stored all the same; it must then be the embedding.
        true if embedding == EMBEDDING => {
            weights.same("lm_head.weight", "model.embed_tokens.weight", (v, d))?;
            None
        }
        true => None,
        false => Some(weights.matrix(HEAD, (v, d))?),
    };
    Ok(Decoder {
        embed_tokens,
        layers,
        norm,
        lm_head,
        rope: Rope::new(config.rope(), config.head_dim)?,
        limits: config.into(),
    })
}

struct Builder<'a> {
    config: &'a Config,
    variant: Variant,
    weights: &'a Weights<'a>,
}

impl Builder<'_> {
    fn block(&self, path: &str) -> Result<Block> {
        let d = self.config.hidden_size;
        Ok(Block {
            input_layernorm: self.norm(&format!("{path}.input_layernorm"), d)?,
            self_attn: self.attention(&format!("{path}.self_attn"))?,
            post_attention_layernorm: self.norm(&format!("{path}.post_attention_layernorm"), d)?,
            mlp: self.mlp(&format!("{path}.mlp"))?,
        })
    }

    fn attention(&self, path: &str) -> Result<Attention> {
        let Variant {
            qkv_bias,
            o_bias,
            qk_norm,
            ..
        } = self.variant;
        let (d, head_dim) = (self.config.hidden_size, self.config.head_dim);
        let q_width = self.config.num_attention_heads * head_dim;
        let kv_width = self.config.num_key_value_heads * head_dim;
        let linear = |name, shape, bias| self.linear(&format!("{path}.{name}"), shape, bias);
        let head_norm = |name| match qk_norm {
            true => self.norm(&format!("{path}.{name}"), head_dim).map(Some),
            false => Ok(None),
        };
        Ok(Attention {
            q_proj: linear("q_proj", (q_width, d), qkv_bias)?,
            k_proj: linear("k_proj", (kv_width, d), qkv_bias)?,
            v_proj: linear("v_proj", (kv_width, d), qkv_bias)?,
            o_proj: linear("o_proj", (d, q_width), o_bias)?,
            q_norm: head_norm("q_norm")?,
            k_norm: head_norm("k_norm")?,
            head_dim,
        })
    }

    fn mlp(&self, path: &str) -> Result<Mlp> {
        let (d, inner) = (self.config.hidden_size, self.config.intermediate_size);
        let bias = self.variant.mlp_bias;
        let linear = |name, shape| self.linear(&format!("{path}.{name}"), shape, bias);
        Ok(Mlp {
            gate_proj: linear("gate_proj", (inner, d))?,
            up_proj: linear("up_proj", (inner, d))?,
            down_proj: linear("down_proj", (d, inner))?,
        })
    }

    fn linear(&self, path: &str, shape: (usize, usize), bias: bool) -> Result<Linear> {
        let weight = self.weights.matrix(path, shape)?;
        let bias = match bias {
            true => Some(
                self.weights
                    .get(&format!("{path}.bias"), shape.0, Init::Zeros)?,
            ),
            false => None,
        };
        Ok(Linear::new(path, weight, bias))
    }

    fn norm(&self, path: &str, width: usize) -> Result<RmsNorm> {
        let weight = self
            .weights
            .get(&format!("{path}.weight"), width, Init::Ones)?;
        Ok(RmsNorm {
            weight,
            eps: self.config.rms_norm_eps,
        })
    }
}
