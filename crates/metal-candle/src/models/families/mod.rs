//! Families of models: one file each, and one line of [`FAMILIES`].
//!
//! A file says what a configuration must and may have, what a block consists of, in the order of the
//! data and under the names of the checkpoint, and what is around the blocks. The parts are in
//! `layers`.

mod common;
mod ernie4_5;
mod gemma2;
mod gemma3;
mod glm4;
mod gpt_oss;
mod granite;
mod llama;
mod mistral;
mod mixtral;
mod olmo2;
mod olmo3;
mod phi3;
mod qwen2;
mod qwen3;
mod qwen3_moe;
mod smollm3;

use super::config::Sizes;
use super::config::fields::Fields;
use super::layers::block::Block;
use super::layers::embedding::EmbeddingScale;
use super::layers::norm::NormKind;
use super::layers::rope::RopeConfig;
use super::scope::Scope;
use super::{Error, Result, json};
use crate::experts::Stacks;
use std::fmt::Debug;
use std::sync::Arc;

/// Configuration of a family, from which its models are made.
pub(super) trait Family: Debug + Send + Sync {
    /// Order in which files have all experts of a block together.
    fn stacks(&self) -> Stacks {
        Stacks::Rows
    }

    /// What is around the blocks.
    fn frame(&self) -> Frame;

    /// Block `i`, whose weights are below `at`.
    fn block(&self, i: usize, at: &Scope<'_>) -> Result<Box<dyn Block>>;
}

/// Parts around the blocks of a model.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) embedding_scale: EmbeddingScale,
    /// Rotary embeddings; blocks name theirs by its index.
    pub(super) ropes: Vec<RopeConfig>,
    /// The norm before the output head.
    pub(super) norm: NormKind,
    /// The output head is the embedding.
    pub(super) tied_head: bool,
    /// Factor of the logits.
    pub(super) logit_scale: f64,
    /// Bound of the logits, `cap * tanh(logit / cap)`.
    pub(super) logit_cap: Option<f64>,
}

impl Frame {
    /// Without scales and rotary embeddings.
    fn plain(norm: NormKind, tied_head: bool) -> Self {
        Self {
            embedding_scale: EmbeddingScale::One,
            ropes: vec![],
            norm,
            tied_head,
            logit_scale: 1.0,
            logit_cap: None,
        }
    }
}

/// Reader of what a family takes from `config.json`.
pub(super) type Read = fn(&mut Fields<'_>, Sizes) -> Result<Arc<dyn Family>>;

/// Families by `model_type`.
const FAMILIES: [(&str, Read); 16] = [
    ("ernie4_5", ernie4_5::read),
    ("gemma2", gemma2::read),
    ("gemma3_text", gemma3::read),
    ("glm4", glm4::read),
    ("gpt_oss", gpt_oss::read),
    ("granite", granite::read),
    ("llama", llama::read),
    ("mistral", mistral::read),
    ("mixtral", mixtral::read),
    ("olmo2", olmo2::read),
    ("olmo3", olmo3::read),
    ("phi3", phi3::read),
    ("qwen2", qwen2::read),
    ("qwen3", qwen3::read),
    ("qwen3_moe", qwen3_moe::read),
    ("smollm3", smollm3::read),
];

/// The model types that are built, as `config.json` names them.
pub const MODEL_TYPES: [&str; FAMILIES.len()] = {
    let mut types = [""; FAMILIES.len()];
    let mut i = 0;
    while i < types.len() {
        types[i] = FAMILIES[i].0;
        i += 1;
    }
    types
};

/// How the family of `model_type` is read.
pub(super) fn find(model_type: &str) -> Result<Read> {
    let family = FAMILIES.iter().find(|(name, _)| *name == model_type);
    let unknown = || Error::ModelType {
        got: json::shown_name(model_type),
        supported: MODEL_TYPES.to_vec(),
    };
    family.map(|(_, read)| *read).ok_or_else(unknown)
}
