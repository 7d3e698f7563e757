//! Decoder-only language models as Hugging Face checkpoints hold them.
//!
//! A family is one file of `families`, made of the parts in `layers`; `load.rs` takes the weights in the
//! order the data flows through them. Weights keep the dtype of the checkpoint, activations are float32.
//! Every tensor of a checkpoint is accounted for: what is missing, unexpected, misshaped or not
//! finite is told at once.

mod cache;
mod checkpoint;
mod companions;
mod config;
mod decoder;
mod error;
mod families;
mod gguf;
mod json;
mod layers;
mod load;
mod packed;
mod parts;
mod pass;
mod problems;
mod recognise;
mod save;
mod scope;
mod stacked;
mod store;
#[cfg(test)]
mod tests;
mod vocabulary;
mod weights;

pub use cache::{
    Bound, Cache, CacheForm, Contiguous, Held, KvCache, Paged, Piece, PromptCache, PromptCacheInfo,
    Reserved, Rotating,
};
pub use companions::{copy_companions, copy_tokenizer};
pub use config::{
    Bits, BitsAndBytes, Config, Fp8, GenerationConfig, Mlx, Mode, OnLoad, Packing, Quantization,
    Skipped, ZeroPoint,
};
pub use decoder::Decoder;
pub use error::{Error, Result};
pub use families::MODEL_TYPES;
pub use gguf::FileType;
pub use layers::rope::{Llama3, LongRope, RopeConfig, Scaling, Yarn};
pub use layers::{Part, PartMut, RmsNorm, Sinks};
pub use parts::Segment;
pub use pass::Pass;
pub use problems::Problems;
pub use recognise::{Found, check_folder};
pub use save::save_checkpoint;
pub use store::{FolderType, Recipe};

use crate::lora::{self, AdapterSet, EMBEDDING, Fusion, HEAD};
use candle_core::{DType, Device};
use checkpoint::Checkpoint;
use config::quantization::{MLX, TRANSFORMERS};
use metal_candle_kernels::Weight;
use serde_json::Value;
use std::path::Path;
use weights::Weights;

/// A decoder with the configuration it was made from.
#[derive(Debug)]
pub struct Model {
    /// The network.
    pub decoder: Decoder,
    /// Its configuration.
    pub config: Config,
    /// `config.json` as it was read, for writing it again.
    pub raw_config: Value,
    /// Tokens that end a text.
    pub eos_token_ids: Vec<u32>,
}

impl Model {
    /// Reads a checkpoint: a folder with `config.json`, `generation_config.json` and safetensors, or a GGUF file.
    ///
    /// # Errors
    /// When a file is missing or damaged, the configuration asks for something that is not built,
    /// or the tensors are not exactly those it calls for.
    pub fn load(path: &Path, device: &Device) -> Result<Self> {
        Self::load_packing(path, None, device)
    }

    /// [`Self::load`] that packs dense matrices while they are read, one after the other: the model is
    /// never in memory as the checkpoint has it.
    ///
    /// # Errors
    /// Those of [`Self::load`], and when the device has no kernels for packed weights.
    pub fn load_packing(path: &Path, on_load: Option<OnLoad>, device: &Device) -> Result<Self> {
        let (config, raw_config) = Config::read(path)?;
        let reason = "the checkpoint is quantized already: load it as it is";
        if config.quantization.is_some() && on_load.is_some() {
            return Err(Error::unsupported("quantization", "given", reason));
        }
        let generation = GenerationConfig::read(path)?;
        let checkpoint = Checkpoint::open(path, config.stacks())?;
        let mut names = checkpoint.names();
        if on_load.is_some() && names.any(|name| checkpoint.block(name).is_some()) {
            return Err(crate::gguf::Error::unsupported(path, "quantizing it", reason).into());
        }
        drop(names);
        load::check(&config, &checkpoint)?;
        let weights = Weights::values(&checkpoint, config.quantization.as_ref(), on_load, device);
        let decoder = load::decoder(&config, &weights)?;
        weights.finish()?;
        Ok(Self {
            decoder,
            eos_token_ids: eos_token_ids(&config, generation),
            config,
            raw_config,
        })
    }

    /// A model with random float32 weights: normal with `initializer_range` (0.02 where absent),
    /// norms one, biases zero.
    ///
    /// # Errors
    /// When the configuration is malformed or asks for something that is not built.
    pub fn random(raw_config: Value, seed: u64, device: &Device) -> Result<Self> {
        let config = Config::parse(&raw_config, Path::new("config.json"))?;
        let std = config.initializer_range.unwrap_or(0.02);
        let weights = Weights::random(seed, std, device);
        let decoder = load::decoder(&config, &weights)?;
        Ok(Self {
            decoder,
            eos_token_ids: eos_token_ids(&config, GenerationConfig::default()),
            config,
            raw_config,
        })
    }
}

impl Model {
    /// Merges the adapters of `set` into the weights. A head that is the embedding becomes a weight of
    /// its own where either has an adapter: the other has none, or another.
    ///
    /// # Errors
    /// As [`AdapterSet::fuse_into`].
    pub fn fuse(&mut self, set: &AdapterSet) -> std::result::Result<(), lora::Error> {
        self.untie_for(set);
        set.fuse_into(self.decoder.matrices_mut())
    }

    /// Merges as [`Self::fuse`] does, and packs the sums of packed weights again in the formats that they have.
    ///
    /// # Errors
    /// As [`AdapterSet::fuse_as_stored`].
    pub fn fuse_as_stored(&mut self, set: &AdapterSet) -> std::result::Result<Fusion, lora::Error> {
        self.untie_for(set);
        set.fuse_as_stored(self.decoder.matrices_mut())
    }

    /// Makes a head that is the embedding a weight of its own where the adapters of `set` tell them apart.
    fn untie_for(&mut self, set: &AdapterSet) {
        let of_ends = [EMBEDDING, HEAD].map(|path| set.get(path));
        let is_adapted = of_ends.iter().any(Option::is_some);
        // One adapter on both changes them alike.
        let are_one = of_ends[1].is_some_and(|head| head.parameters().is_empty());
        if self.decoder.lm_head.is_none() && is_adapted && !are_one {
            self.decoder.untie();
            self.raw_config["tie_word_embeddings"] = false.into();
            self.pack_head_as_embedding();
        }
    }

    /// Says in the configuration that the head is packed as the embedding is, where that is said by its path.
    fn pack_head_as_embedding(&mut self) {
        for key in [MLX, TRANSFORMERS] {
            let Some(settings) = self.raw_config.get_mut(key).and_then(Value::as_object_mut) else {
                continue;
            };
            if let Some(packing) = settings.get(EMBEDDING).cloned() {
                settings.insert(HEAD.into(), packing);
            }
        }
    }
}

impl Model {
    /// Replaces every matrix in blocks of few bits by a dense one of `dtype`.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn unpack(&mut self, dtype: DType) -> Result<()> {
        for (_, weight) in self.decoder.matrices_mut() {
            if matches!(weight, Weight::Packed(_)) {
                *weight = weight.dense()?.to_dtype(dtype)?.into();
            }
        }
        Ok(())
    }
}

/// Ends of a text: the generation settings' or, where they name none, the configuration's. One
/// that is no token of the model can end nothing, which is told.
fn eos_token_ids(config: &Config, generation: GenerationConfig) -> Vec<u32> {
    let mut ids = generation.eos_token_ids;
    if ids.is_empty() {
        ids.clone_from(&config.eos_token_ids);
    }
    let vocab_size = config.vocab_size;
    ids.retain(|&id| {
        let is_token = (id as usize) < vocab_size;
        if !is_token {
            tracing::warn!("eos_token_id {id} is none of the model's {vocab_size} tokens");
        }
        is_token
    });
    ids
}
