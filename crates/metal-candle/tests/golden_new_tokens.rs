//! Models whose vocabulary grew compute and train beside adapters as they do in PEFT.
#![allow(clippy::unwrap_used)]

mod support;

use candle_core::{Device, Tensor};
use metal_candle::language_model::{Adapted, config_for, model_for};
use metal_candle::lora::{Error, LoraConfig, Method, Targets};
use metal_candle::models::{Model, save_checkpoint};
use metal_candle::train::Parameters;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use support::models::forward_with;
use support::{adapted, golden, ids, max_difference, model, tensors, training};

/// Folders of `scripts/golden/new_tokens.py`, and their bases.
const BASES: [(&str, &str); 2] = [("tied", "qwen2"), ("untied", "qwen3")];
const ADAPTERS: [&str; 4] = ["final_adapter", "with_embeddings", "saved", "frozen"];
const NEW: [u32; 2] = [96, 97];
const FILE: &str = "adapter_model.safetensors";

fn folder(name: &str) -> PathBuf {
    golden("new-tokens").join(name)
}

/// The base with an adapter of it, and rows for the tokens of that.
fn ready(base: &str, adapter: &Path) -> (Model, Adapted) {
    let model = golden(base).join("model");
    let model = model_for(&model, Some(adapter), None, &Device::Cpu).unwrap();
    let adapted = adapted(&model, adapter, |_| {});
    (model, adapted)
}

fn numbers(folder: &Path, name: &str) -> Vec<f64> {
    let text = std::fs::read_to_string(folder.join("losses.json")).unwrap();
    let losses: Value = serde_json::from_str(&text).unwrap();
    serde_json::from_value(losses[name].clone()).unwrap()
}

#[test]
fn logits_equal_those_of_peft_beside_and_fused() {
    for (name, base) in BASES {
        let want = tensors(&folder(name).join("logits.safetensors"));
        let input_ids = ids(&want["input_ids"]);
        assert!(input_ids.iter().any(|id| NEW.contains(id)));
        for adapter in ADAPTERS {
            let check = |got: Tensor, what: &str| {
                let difference = max_difference(&got, &want[adapter]);
                assert!(difference < 1e-4, "{name} {adapter} {what}: {difference}");
            };
            let (mut model, adapted) = ready(base, &folder(name).join(adapter));
            let beside = |set| forward_with(&model, Some(set), &input_ids, 2);
            check(beside(&adapted.set), "trained");
            check(beside(&adapted.frozen(&model).unwrap()), "frozen");
            model.fuse(&adapted.set).unwrap();
            check(forward_with(&model, None, &input_ids, 2), "fused");
            let saved = tempfile::tempdir().unwrap();
            let weights = model.decoder.tensors();
            save_checkpoint(saved.path(), &model.raw_config, weights).unwrap();
            let again = Model::load(saved.path(), &Device::Cpu).unwrap();
            assert_eq!(again.config.vocab_size, 98);
            check(forward_with(&again, None, &input_ids, 2), "saved");
        }
    }
}

#[test]
fn ten_losses_and_the_rows_of_new_tokens_equal_peft() {
    for (name, base) in BASES {
        let folder = folder(name);
        let batches = tensors(&folder.join("batches.safetensors"));
        let (model, adapted) = ready(base, &folder.join("initial_adapter"));
        let parameters = Parameters::of_adapters(adapted.set, &model.decoder);
        let losses = training::losses(
            &model,
            &parameters,
            &batches["input_ids"],
            &batches["labels"],
        );
        let want = numbers(&folder, "losses");
        assert_eq!(want.len(), 10);
        for (i, (got, want)) in losses.iter().zip(&want).enumerate() {
            assert!(
                (got - want).abs() < 1e-5,
                "{name} {i}: {got}, expected {want}"
            );
        }
        let want = tensors(&folder.join("final_adapter").join(FILE));
        assert_eq!(want.len(), parameters.as_slice().len());
        for parameter in parameters.as_slice() {
            let want = &want[&format!("base_model.model.{}", parameter.name)];
            let difference = max_difference(parameter.var.as_tensor(), want);
            assert!(difference < 1e-4, "{name} {}: {difference}", parameter.name);
        }
    }
}

/// As `metal-candle train --add-tokens` begins.
fn fresh(base: &str, tokens: Vec<(String, Vec<u32>)>) -> (Model, Result<Adapted, Error>) {
    let mut model = model(base);
    model.grow_vocabulary(98, &BTreeMap::new()).unwrap();
    let config = LoraConfig {
        targets: Targets::Names(vec!["q_proj".into()]),
        trainable_token_indices: tokens,
        ..LoraConfig::default()
    };
    let adapted = Adapted::fresh(&model, config, 0).map_err(|error| match error {
        metal_candle::language_model::Error::Adapter(error) => error,
        other => panic!("{other}"),
    });
    (model, adapted)
}

fn of(names: &[&str]) -> Vec<(String, Vec<u32>)> {
    let names = names.iter();
    names.map(|name| (name.to_string(), NEW.into())).collect()
}

#[test]
fn rows_of_new_tokens_begin_as_the_mean_of_the_others() {
    for (name, base) in BASES {
        let names = ["embed_tokens", "lm_head"];
        let n = if name == "tied" { 1 } else { 2 };
        let (_, adapted) = fresh(base, of(&names[..n]));
        let want = tensors(&folder(name).join("initial_adapter").join(FILE));
        let values = adapted.unwrap().set.stored().unwrap();
        let rows = values
            .iter()
            .filter(|(name, _)| name.contains("token_adapter"));
        let rows: Vec<_> = rows.collect();
        assert_eq!(rows.len(), n);
        for (key, got) in rows {
            let want = &want[&format!("base_model.model.{key}")];
            let difference = max_difference(got, want);
            assert!(difference < 1e-6, "{name} {key}: {difference}");
        }
    }
}

#[test]
fn files_are_those_of_peft() {
    for (name, base) in BASES {
        let theirs = folder(name).join("final_adapter");
        let (model, adapted) = ready(base, &theirs);
        let out = tempfile::tempdir().unwrap();
        adapted.save(out.path(), "base").unwrap();
        let read = |folder: &Path| tensors(&folder.join(FILE));
        let (ours, want) = (read(out.path()), read(&theirs));
        assert_eq!(ours.len(), want.len());
        for (key, tensor) in &want {
            assert_eq!(max_difference(&ours[key], tensor), 0.0, "{key}");
        }
        let config = std::fs::read_to_string(out.path().join("adapter_config.json")).unwrap();
        let config: Value = serde_json::from_str(&config).unwrap();
        let mut tokens = json!({"embed_tokens": NEW});
        if name == "untied" {
            tokens["lm_head"] = json!(NEW);
        }
        assert_eq!(config["trainable_token_indices"], tokens);
        assert_eq!(config["target_modules"], json!(["down_proj", "q_proj"]));
        let again = support::adapted(&model, out.path(), |_| {});
        assert_eq!(again.plan, adapted.plan);
        let grown = config_for(&golden(base).join("model"), Some(out.path())).unwrap();
        assert_eq!(grown.vocab_size, 98);
    }
}

#[test]
fn the_head_that_is_the_embedding_has_its_rows() {
    let (model, adapted) = fresh("qwen2", of(&["embed_tokens"]));
    let adapted = adapted.unwrap();
    let methods = adapted.plan.placements.iter().map(|place| place.method);
    let n_rows = methods.filter(|method| *method == Method::Tokens).count();
    assert_eq!(n_rows, 2);
    assert_eq!(adapted.set.tokens().unwrap(), [NEW, NEW].concat());
    let parameters = Parameters::of_adapters(adapted.set, &model.decoder);
    let names = parameters.as_slice().iter().map(|p| p.name.as_str());
    let rows = names.filter(|name| name.contains("token_adapter"));
    assert_eq!(
        rows.collect::<Vec<_>>(),
        ["model.embed_tokens.token_adapter.trainable_tokens_delta"]
    );
}

#[test]
fn packed_rows_take_no_new_ones() {
    let mut model = model("mlx-4bit");
    let n = model.config.vocab_size;
    model.grow_vocabulary(n, &BTreeMap::new()).unwrap();
    let error = model.grow_vocabulary(n + 1, &BTreeMap::new()).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("model.embed_tokens: its rows are packed (affine"),
        "{error}"
    );
    assert_eq!(model.config.vocab_size, n);
}

#[test]
fn tokens_that_make_no_sense_are_refused() {
    let refused = |tokens: Vec<(String, Vec<u32>)>| {
        let (_, adapted) = fresh("qwen3", tokens);
        adapted.err().unwrap().to_string()
    };
    let beyond = refused(vec![("embed_tokens".into(), vec![98])]);
    assert!(beyond.contains("token 98 is out of range"), "{beyond}");
    let twice = refused(vec![("embed_tokens".into(), vec![3, 3])]);
    assert!(twice.contains("3 twice"), "{twice}");
    let beside = refused(of(&["q_proj"]));
    assert!(beside.contains("trainable_token_indices"), "{beside}");
    let nowhere = refused(of(&["wte"]));
    assert!(nowhere.contains("wte"), "{nowhere}");
}
