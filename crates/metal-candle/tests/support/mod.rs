//! Golden files made by `scripts/golden/make.py` with transformers and PEFT.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor};
use metal_candle::lora::{self, Plan, format::peft};
use metal_candle::models::Model;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

pub const MODELS: [&str; 4] = ["qwen2", "qwen3", "llama3", "qwen2-bf16"];

pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

pub fn tensors(path: &Path) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

pub fn model(name: &str) -> Model {
    Model::load(&golden(name).join("model"), &Device::Cpu).unwrap()
}

pub fn ids(t: &Tensor) -> Vec<u32> {
    let ids = t.flatten_all().unwrap().to_vec1::<i64>().unwrap();
    ids.into_iter().map(|id| id as u32).collect()
}

/// Attaches the adapter in `folder` to `model`.
pub fn attach(model: &mut Model, folder: &Path) {
    let adapter = peft::read(folder).unwrap();
    let plan = Plan::new(&adapter.config, &model.decoder.linear_infos().unwrap()).unwrap();
    lora::attach(model.decoder.linears_mut(), &plan, 0, &Device::Cpu).unwrap();
    peft::load_into(&adapter, &lora::parameters(model.decoder.linears())).unwrap();
}

pub fn max_difference(a: &Tensor, b: &Tensor) -> f32 {
    let (a, b) = (
        a.to_dtype(DType::F32).unwrap(),
        b.to_dtype(DType::F32).unwrap(),
    );
    let difference = (a - b).unwrap().abs().unwrap();
    difference
        .flatten_all()
        .unwrap()
        .max(0)
        .unwrap()
        .to_scalar()
        .unwrap()
}
