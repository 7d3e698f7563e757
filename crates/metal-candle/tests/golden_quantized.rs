//! A checkpoint that mlx-lm quantized computes, and trains, what MLX does
//! (`scripts/golden/make_mlx.py`).
#![allow(clippy::unwrap_used)]

mod support;

use candle_core::{Device, Tensor};
use metal_candle::lora::{AdapterSet, Error, LoraConfig, Mode, Plan, Targets};
use metal_candle::models::Model;
use metal_candle::train::{Parameters, step::step};
use std::collections::HashMap;
use std::sync::Arc;
use support::training::batch;
use support::{golden, ids, max_difference, tensors};

fn loaded() -> (Model, HashMap<String, Tensor>) {
    let folder = golden("mlx-4bit");
    let model = Model::load(&folder.join("model"), &Device::Cpu).unwrap();
    (model, tensors(&folder.join("golden.safetensors")))
}

/// The model, and the adapter of the file.
fn adapted() -> (Model, Arc<AdapterSet>, HashMap<String, Tensor>) {
    let (model, want) = loaded();
    let targets = ["q_proj", "up_proj", "down_proj"].map(String::from);
    let config = LoraConfig {
        r: 4,
        alpha: 8.0,
        targets: Targets::Names(targets.to_vec()),
        ..LoraConfig::default()
    };
    let plan = Plan::new(&config, &model.decoder.layer_infos().unwrap()).unwrap();
    let set = AdapterSet::fresh(&plan, &model.decoder.adaptable(), 0).unwrap();
    for (name, var) in set.parameters() {
        var.set(&want[&name]).unwrap();
    }
    (model, Arc::new(set), want)
}

#[test]
fn logits_and_greedy_tokens_equal_mlx() {
    let (model, want) = loaded();
    let logits = support::models::forward(&model, &ids(&want["input_ids"]), 2);
    let difference = max_difference(&logits, &want["logits"]);
    assert!(difference < 1e-4, "{difference}");
    let (prompt, greedy) = (ids(&want["prompt"]), ids(&want["greedy"]));
    let ours = support::models::greedy_with_cache(&model, &prompt, greedy.len());
    assert_eq!(ours, greedy);
}

#[test]
fn loss_and_gradients_of_an_adapter_equal_mlx() {
    let (model, set, want) = adapted();
    let parameters = Parameters::of_adapters(set, &model.decoder);
    let batch = batch(&want["input_ids"], &want["targets"]);
    let mode = Mode::training(0);
    let result = step(&model.decoder, &parameters, &batch, mode, false).unwrap();
    let trained = batch.trained_tokens as f64;
    let loss = f64::from(want["loss"].to_scalar::<f32>().unwrap());
    assert!((result.loss_sum / trained - loss).abs() < 1e-5);
    let gradients = result.gradients.as_slice();
    for (parameter, gradient) in parameters.as_slice().iter().zip(gradients) {
        let mean = (gradient.as_ref().unwrap() / trained).unwrap();
        let difference = max_difference(&mean, &want[&format!("grad.{}", parameter.name)]);
        assert!(difference < 2e-6, "{}: {difference}", parameter.name);
    }
}

#[test]
fn only_some_matrices_are_packed_and_none_is_merged() {
    let (mut model, set, _) = adapted();
    let packed: Vec<String> = model
        .decoder
        .packed()
        .map(|(path, _)| path.into())
        .collect();
    assert_eq!(packed.len(), 15, "{packed:?}");
    assert!(packed.contains(&"lm_head".into()) && packed.contains(&"model.embed_tokens".into()));
    let plain = "model.layers.1.mlp.up_proj";
    assert!(!packed.contains(&plain.into()));
    let error = model.fuse(&set).unwrap_err();
    let Error::Packed { tensors } = &error else {
        panic!("{error}");
    };
    assert_eq!(tensors.len(), set.parameters().len() / 2 - 1);
    assert!(!tensors.contains(&format!("{plain}.weight")));
    assert!(Parameters::all_weights(&mut model).is_err());
}
