//! Golden files made by `scripts/golden/make.py` with transformers and PEFT.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

pub mod activations;
pub mod decay;
pub mod gguf;
pub mod models;
pub mod optimizers;
pub mod preference;
pub mod quantized;
pub mod training;

use candle_core::{DType, Device, Tensor};
use metal_candle::language_model::Adapted;
use metal_candle::lora::{AdapterSet, LoraConfig};
use metal_candle::models::Model;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Names of the checkpoints of `scripts/golden/checkpoints.py`.
pub fn checkpoints() -> Vec<String> {
    let folders = golden("").read_dir().unwrap();
    let folders = folders.map(|folder| folder.unwrap());
    let with_adapter = folders.filter(|folder| {
        let is_there = |name| folder.path().join(name).is_dir();
        is_there("model") && is_there("adapter")
    });
    let mut names: Vec<String> = with_adapter
        .map(|folder| folder.file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.len() >= 14, "{names:?}");
    names
}

/// A file of `tests/golden`, also where crates/soft-metal compiles these tests.
pub fn golden(name: &str) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut above = here.ancestors();
    let root = above.find(|folder| folder.join("crates/metal-candle").exists());
    root.unwrap()
        .join("crates/metal-candle/tests/golden")
        .join(name)
}

pub fn tensors(path: &Path) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

pub fn model(name: &str) -> Model {
    model_on(name, &Device::Cpu)
}

pub fn model_on(name: &str, device: &Device) -> Model {
    Model::load(&golden(name).join("model"), device).unwrap()
}

pub fn ids(t: &Tensor) -> Vec<u32> {
    let ids = t.flatten_all().unwrap().to_vec1::<i64>().unwrap();
    ids.into_iter().map(|id| id as u32).collect()
}

/// The adapter in `folder`, for `model`.
pub fn adapter(model: &mut Model, folder: &Path) -> Arc<AdapterSet> {
    adapted(model, folder, |_| {}).set
}

pub fn adapted(model: &Model, folder: &Path, adjust: impl FnOnce(&mut LoraConfig)) -> Adapted {
    Adapted::read(folder, model, folder, adjust).unwrap()
}

/// Of two tensors on any devices.
pub fn max_difference(a: &Tensor, b: &Tensor) -> f32 {
    let host = |t: &Tensor| t.to_device(&Device::Cpu)?.to_dtype(DType::F32);
    let difference = (host(a).unwrap() - host(b).unwrap())
        .unwrap()
        .abs()
        .unwrap();
    difference
        .flatten_all()
        .unwrap()
        .max(0)
        .unwrap()
        .to_scalar()
        .unwrap()
}
