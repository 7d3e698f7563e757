//! Loading of a decoder's weights, in the order of the data.

use super::Result;
use super::checkpoint::Checkpoint;
use super::config::Config;
use super::decoder::Decoder;
use super::json::shown_name;
use super::layers::rope::Rope;
use super::scope::Scope;
use super::weights::Weights;
use super::{packed, recognise};
use crate::lora::{EMBEDDING, Embedding, HEAD};
use candle_core::DType;

const BLOCKS: &str = "model.layers";

/// Compares names, shapes and dtypes of a checkpoint with what its configuration calls for, before
/// anything of the configuration's sizes is allocated.
pub(super) fn check(config: &Config, checkpoint: &Checkpoint) -> Result<()> {
    if config.quantization.is_none() {
        recognise::by_tensors(&checkpoint.path, checkpoint.names())?;
    }
    let weights = Weights::headers(checkpoint, config.quantization.as_ref());
    packed::check(&weights);
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
        decoder(config, &weights)?;
        return weights.finish();
    }
    weights.fail()
}

/// Takes every weight of a decoder from `weights`.
pub(super) fn decoder(config: &Config, weights: &Weights<'_>) -> Result<Decoder> {
    let (frame, all) = (config.family.frame(), Scope::new(weights));
    let dims = (config.vocab_size, config.hidden_size);
    let stored = stored_embedding(weights, frame.tied_head);
    let embed_tokens = Embedding::new(EMBEDDING, packed::matrix(weights, stored, dims)?);
    let blocks = all.below(BLOCKS);
    let layers = (0..config.num_hidden_layers)
        .map(|i| config.family.block(i, &blocks.below(&i.to_string())));
    let layers = layers.collect::<Result<_>>()?;
    let norm = all.norm("model.norm", config.hidden_size, frame.norm)?;
    let lm_head = match frame.tied_head {
        true => None,
        false => Some(all.linear(HEAD, dims, false)?),
    };
    if frame.tied_head && stored == EMBEDDING {
        // The head may be stored all the same; it must then be the embedding.
        weights.same("lm_head.weight", "model.embed_tokens.weight", dims)?;
    }
    Ok(Decoder {
        embedding_scale: frame
            .embedding_scale
            .of(scaled_in(weights, &embed_tokens))?,
        embed_tokens,
        layers,
        norm,
        lm_head,
        logit_scale: frame.logit_scale,
        logit_cap: frame.logit_cap,
        ropes: frame.ropes.iter().map(Rope::new).collect(),
        limits: config.into(),
        activations: DType::F32,
    })
}

/// Dtype that embeddings are multiplied in. That of the weight is the model's; in a GGUF file it only says how the numbers
/// are stored, and llama.cpp multiplies in float32.
fn scaled_in(weights: &Weights<'_>, embedding: &Embedding) -> DType {
    match weights.is_gguf() {
        true => DType::F32,
        false => embedding.weight().dtype(),
    }
}

/// Path at which the embedding is stored: tied weights may be stored as the head alone.
fn stored_embedding(weights: &Weights<'_>, tied_head: bool) -> &'static str {
    let has = |path: &str| weights.has(&format!("{path}.weight"));
    match tied_head && !has(EMBEDDING) && has(HEAD) {
        true => HEAD,
        false => EMBEDDING,
    }
}
