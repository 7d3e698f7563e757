//! Logits of tiny random checkpoints equal those of transformers and PEFT.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use candle_core::Device;
use metal_candle::models::{Config, Model, Scaling};
use support::{activations, golden, models};

#[test]
fn logits_equal_transformers() {
    models::logits_equal_transformers(&Device::Cpu);
}

#[test]
fn adapter_logits_equal_peft_beside_and_merged() {
    models::adapter_logits_equal_peft_beside_and_merged(&Device::Cpu);
}

#[test]
fn adapter_gradients_equal_pytorch() {
    models::adapter_gradients_equal_pytorch(&Device::Cpu);
}

#[test]
fn packed_sequences_compute_what_each_does_alone() {
    models::packed_sequences_compute_what_each_does_alone(&Device::Cpu);
}

#[test]
fn adapter_files_compute_what_peft_computes() {
    models::adapter_files_compute_what_peft_computes(&Device::Cpu);
}

#[test]
fn greedy_tokens_equal_transformers_with_and_without_cache() {
    models::greedy_tokens_equal_transformers_with_and_without_cache(&Device::Cpu);
}

#[test]
fn both_spellings_of_a_config_mean_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let old = golden("llama3/model/config.transformers4.json");
    std::fs::copy(old, folder.path().join("config.json")).unwrap();
    let (old, _) = Config::read(folder.path()).unwrap();
    let (new, _) = Config::read(&golden("llama3/model")).unwrap();
    assert_eq!(old.ropes(), new.ropes());
    assert!(matches!(old.ropes()[0].scaling, Scaling::Llama3(_)));
}

/// As transformers 5 has experts in memory, and other families in files.
#[test]
fn experts_in_two_tensors_are_those_in_many() {
    let folder = golden("qwen3_moe/fused");
    let fused = Model::load(&folder, &Device::Cpu).unwrap().decoder;
    let many = support::model("qwen3_moe").decoder;
    for ((name, a), (other, b)) in fused.tensors().iter().zip(many.tensors()) {
        assert_eq!((name, support::max_difference(a, &b)), (&other, 0.0));
    }
}

#[test]
fn activations_of_sixteen_bits_cost_no_more_than_in_pytorch() {
    let mut names = support::checkpoints();
    // One rounding may choose another expert, here or there.
    names.retain(|name| !["gpt_oss", "mixtral", "qwen3_moe"].contains(&name.as_str()));
    activations::cost_no_more_than_in_pytorch(&names, &Device::Cpu);
}

#[test]
fn activations_of_sixteen_bits_are_cached() {
    for name in support::checkpoints() {
        activations::are_cached(&name, &Device::Cpu);
    }
}
