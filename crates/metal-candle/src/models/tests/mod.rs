//! Checkpoint folders as they are in the world, and as they must not be.

mod cache;
mod folders;
mod shards;
mod tensors;

use super::{CacheForm, Config, Decoder, Error, KvCache, Model, Result};
use super::{check_folder, copy_companions, save_checkpoint};
use crate::layout::{Arrangement, Layout, Span};
use crate::lora::Context;
use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const EMBEDDING: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";

/// A tiny checkpoint in a folder of its own.
struct Checkpoint {
    folder: TempDir,
}

impl Checkpoint {
    fn new() -> Self {
        Self::with(json!({"model_type": "llama"}))
    }

    /// With these fields beside the sizes.
    fn with(fields: Value) -> Self {
        let checkpoint = Self {
            folder: TempDir::new().unwrap(),
        };
        let mut config = json!({
            "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
            "num_attention_heads": 2, "rms_norm_eps": 1e-6, "vocab_size": 40, "max_position_embeddings": 64,
            "tie_word_embeddings": true, "initializer_range": 0.3,
        });
        for (name, value) in fields.as_object().unwrap() {
            config[name] = value.clone();
        }
        let model = Model::random(config.clone(), 5, &Device::Cpu).unwrap();
        let weights = model.decoder.tensors();
        save_checkpoint(checkpoint.path(), &config, weights).unwrap();
        checkpoint
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.file(name), content).unwrap();
    }

    fn tensors(&self) -> HashMap<String, Tensor> {
        candle_core::safetensors::load(self.file(SINGLE), &Device::Cpu).unwrap()
    }

    fn edit_tensors(&self, change: impl FnOnce(&mut HashMap<String, Tensor>)) {
        let mut tensors = self.tensors();
        change(&mut tensors);
        candle_core::safetensors::save(&tensors, self.file(SINGLE)).unwrap();
    }

    fn edit_config(&self, change: impl FnOnce(&mut Value)) {
        let text = fs::read(self.file("config.json")).unwrap();
        let mut config = serde_json::from_slice(&text).unwrap();
        change(&mut config);
        self.write("config.json", config.to_string());
    }

    /// Moves the tensors into a shard, which an index names as `shard`.
    fn shard(&self, file: &str, shard: &str) {
        let names = self.tensors().into_keys();
        let map: Value = names
            .map(|name| (name, Value::from(shard)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        fs::rename(self.file(SINGLE), self.file(file)).unwrap();
        self.write(INDEX, json!({"weight_map": map}).to_string());
    }

    #[track_caller]
    fn logits(&self) -> Vec<f32> {
        let model = Model::load(self.path(), &Device::Cpu).unwrap();
        let (layout, context) = (Layout::new(Arrangement::Padded, &[5]), Context::default());
        let logits = model.decoder.forward(&[3, 1, 4, 1, 5], &layout, &context);
        let logits = logits.unwrap();
        logits.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[track_caller]
    fn refuses(&self, expected: &[&str]) -> String {
        let message = match Model::load(self.path(), &Device::Cpu) {
            Ok(_) => panic!("accepted"),
            Err(error) => error.to_string(),
        };
        for text in expected {
            assert!(message.contains(text), "no {text:?} in {message}");
        }
        message
    }
}
