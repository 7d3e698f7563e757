//! Quantized checkpoints compute, and train, what their owners' programs do: those of mlx-lm
//! (`scripts/golden/make_mlx.py`), and those of bitsandbytes and transformers
//! (`scripts/golden/packed_models.py`).
#![allow(clippy::unwrap_used)]

mod support;

use candle_core::{Device, Tensor};
use metal_candle::lora::{AdapterSet, Error, LoraConfig, Mode, Plan, Targets};
use metal_candle::models::{Model, OnLoad};
use metal_candle::train::{Parameters, step::step};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use support::training::{self, batch};
use support::{golden, ids, max_difference, model, tensors};

const MLX: [&str; 2] = ["mlx-4bit", "mlx-mxfp4"];

const OTHERS: [&str; 4] = ["bnb-nf4", "bnb-fp4", "bnb-int8", "fp8"];

fn loaded(name: &str) -> (Model, HashMap<String, Tensor>) {
    let want = tensors(&golden(name).join("golden.safetensors"));
    (model(name), want)
}

/// The model, and the adapter of the file.
fn adapted(name: &str) -> (Model, Arc<AdapterSet>, HashMap<String, Tensor>) {
    let (model, want) = loaded(name);
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
fn logits_and_greedy_tokens_equal_the_owners() {
    for name in MLX.into_iter().chain(OTHERS) {
        let (model, want) = loaded(name);
        let logits = support::models::forward(&model, &ids(&want["input_ids"]), 2);
        let difference = max_difference(&logits, &want["logits"]);
        assert!(difference < 1e-4, "{name}: {difference}");
        let (prompt, greedy) = (ids(&want["prompt"]), ids(&want["greedy"]));
        let ours = support::models::greedy_with_cache(&model, &prompt, greedy.len());
        assert_eq!(ours, greedy, "{name}");
    }
}

#[test]
fn loss_and_gradients_of_an_adapter_equal_mlx() {
    for name in MLX {
        let (model, set, want) = adapted(name);
        let parameters = Parameters::of_adapters(set, &model.decoder);
        let batch = batch(&want["input_ids"], &want["targets"]);
        let mode = Mode::training(0);
        let result = step(&model.decoder, &parameters, &batch, mode, false).unwrap();
        let trained = batch.trained_tokens as f64;
        let loss = f64::from(want["loss"].to_scalar::<f32>().unwrap());
        assert!((result.loss_sum / trained - loss).abs() < 1e-5, "{name}");
        let gradients = result.gradients.as_slice();
        for (parameter, gradient) in parameters.as_slice().iter().zip(gradients) {
            let mean = (gradient.as_ref().unwrap() / trained).unwrap();
            let difference = max_difference(&mean, &want[&format!("grad.{}", parameter.name)]);
            assert!(difference < 2e-6, "{name} {}: {difference}", parameter.name);
        }
    }
}

#[test]
fn ten_losses_equal_mlx() {
    for name in MLX {
        let (model, set, want) = adapted(name);
        let parameters = Parameters::of_adapters(set, &model.decoder);
        let losses = want["losses"].to_vec1::<f32>().unwrap();
        let got = training::losses(&model, &parameters, &want["steps"], &want["steps"]);
        assert_eq!((losses.len(), got.len()), (10, 10));
        for (got, want) in got.into_iter().zip(losses) {
            assert!((got - f64::from(want)).abs() < 1e-3, "{name}: {got} {want}");
        }
    }
}

#[test]
fn ten_losses_and_the_final_adapter_equal_peft() {
    for run in ["bnb-nf4/train", "fp8/train"] {
        training::ten_losses_and_the_final_adapter_equal_peft(run, "full", &Device::Cpu);
    }
}

#[test]
fn kinds_tell_how_matrices_are_stored() {
    let kinds = |name: &str| -> BTreeSet<String> {
        let layers = model(name).decoder.adaptable().into_iter();
        layers.map(|layer| layer.weight().kind()).collect()
    };
    let expected: [(&str, &[&str]); 6] = [
        (
            "mlx-4bit",
            &[
                "affine, 4 bits in groups of 32",
                "affine, 8 bits in groups of 64",
                "f32",
            ],
        ),
        ("mlx-mxfp4", &["f32", "mxfp4", "mxfp8", "nvfp4"]),
        (
            "bnb-nf4",
            &["f32", "nf4, blocks of 64, double quantization"],
        ),
        ("bnb-fp4", &["f32", "fp4, blocks of 64"]),
        ("bnb-int8", &["f32", "int8 by rows"]),
        ("fp8", &["f32", "fp8 (e4m3), blocks of 24 x 20"]),
    ];
    for (name, expected) in expected {
        let expected: BTreeSet<String> = expected.iter().map(|kind| kind.to_string()).collect();
        assert_eq!(kinds(name), expected);
    }
}

/// Kinds of the layers of a dense checkpoint that is packed while it is read.
#[test]
fn dense_checkpoints_are_packed_while_they_are_read() {
    let folder = golden("qwen3").join("model");
    let load = |to| Model::load_packing(&folder, Some(to), &Device::Cpu).unwrap();
    let kinds = |model: &Model| -> Vec<String> {
        let layers = model.decoder.adaptable().into_iter();
        layers.map(|layer| layer.weight().kind()).collect()
    };
    let nf4 = kinds(&load(OnLoad::Nf4));
    let is_nf4 = |kind: &String| kind == "nf4, blocks of 64";
    assert_eq!(
        nf4.iter().filter(|kind| is_nf4(kind)).count(),
        nf4.len() - 2
    );
    // Rows of 32 do not divide into groups of 64, those of o_proj and down_proj do.
    let affine = kinds(&load(OnLoad::Affine));
    let is_affine = |kind: &&String| **kind == "affine, 4 bits in groups of 64";
    assert_eq!(affine.iter().filter(is_affine).count(), 2 * 3, "{affine:?}");
    let error = Model::load_packing(
        &golden("bnb-nf4").join("model"),
        Some(OnLoad::Nf4),
        &Device::Cpu,
    );
    let message = error.err().unwrap().to_string();
    assert!(message.contains("is quantized already"), "{message}");
}

#[test]
fn only_some_matrices_are_packed_and_none_is_merged() {
    let (mut model, set, _) = adapted("mlx-4bit");
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
