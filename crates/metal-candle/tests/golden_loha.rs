//! LoHa is PEFT's, in memory and in files. Its losses and gradients are in `golden_training.rs`.
#![allow(clippy::unwrap_used)]

mod support;

use candle_core::Tensor;
use metal_candle::language_model::Adapted;
use metal_candle::lora::format::{Inexpressible, mlx};
use metal_candle::lora::{Error, LoraConfig, Method, Targets};
use serde_json::Value;
use std::path::Path;
use support::models::forward_with;
use support::{adapted, golden, ids, max_difference, model, tensors};

const RUN: &str = "qwen3/train-loha";

#[test]
fn logits_equal_peft_beside_and_merged() {
    let want = tensors(&golden(RUN).join("logits.safetensors"));
    let mut model = model("qwen3");
    let adapter = adapted(&model, &golden(RUN).join("final_adapter_full"), |_| {});
    assert_eq!(adapter.config.method, Method::Loha);
    let input_ids = ids(&want["input_ids"]);
    let check = |got: Tensor, what: &str| {
        let difference = max_difference(&got, &want["logits"]);
        assert!(difference < 1e-4, "{what}: {difference}");
    };
    let frozen = adapter.frozen(&model).unwrap();
    check(forward_with(&model, Some(&frozen), &input_ids, 2), "frozen");
    check(
        forward_with(&model, Some(&adapter.set), &input_ids, 2),
        "trained",
    );
    model.fuse(&adapter.set).unwrap();
    check(forward_with(&model, None, &input_ids, 2), "fused");
}

#[test]
fn files_are_those_of_peft() {
    let folder = golden(RUN).join("final_adapter_full");
    let model = model("qwen3");
    let adapter = adapted(&model, &folder, |_| {});
    let out = tempfile::tempdir().unwrap();
    adapter.save(out.path(), "golden/qwen3").unwrap();
    let read = |folder: &Path| tensors(&folder.join("adapter_model.safetensors"));
    let (ours, theirs) = (read(out.path()), read(&folder));
    assert_eq!(ours.len(), theirs.len());
    for (key, tensor) in &theirs {
        assert_eq!(max_difference(&ours[key], tensor), 0.0, "{key}");
    }
    let config = |folder: &Path| -> Value {
        let text = std::fs::read_to_string(folder.join("adapter_config.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let (ours, theirs) = (config(out.path()), config(&folder));
    let ours = ours.as_object().unwrap();
    // What is left out has PEFT's default; every field is one of its own.
    assert!(
        ours.iter().all(|(field, value)| theirs[field] == *value),
        "{ours:?}"
    );
    assert!(ours.keys().is_sorted(), "as PEFT sorts them");
    assert_eq!(adapted(&model, out.path(), |_| {}).plan, adapter.plan);
}

#[test]
fn what_it_cannot_be_is_refused() {
    let model = model("qwen3");
    let refused = |change: &dyn Fn(&mut LoraConfig), said: &str| {
        let mut config = LoraConfig {
            method: Method::Loha,
            ..LoraConfig::default()
        };
        change(&mut config);
        let error = Adapted::fresh(&model, config, 0).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    };
    refused(&|c| c.dropout = 0.1, "dropout");
    refused(&|c| c.use_rslora = true, "rslora");
    let embedding = Targets::Names(vec!["embed_tokens".into()]);
    refused(&|c| c.targets = embedding.clone(), "on a token embedding");
    let adapter = adapted(&model, &golden(RUN).join("final_adapter_full"), |_| {});
    let portable = adapter.portable(&model, "base").unwrap();
    let out = tempfile::tempdir().unwrap();
    let Err(Error::Inexpressible { reasons, .. }) = mlx::write(out.path(), &portable, false) else {
        panic!("mlx-lm has no such method");
    };
    assert!(matches!(
        &reasons[0],
        Inexpressible::Method { method: "loha", .. }
    ));
}
