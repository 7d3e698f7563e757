//! Configurations as they are published.

use super::*;

/// Configurations as published, and as transformers 4.46 and 5.24 write every field of the types that are built.
#[test]
fn public_configurations_are_understood() {
    let lines = include_str!("../../../../tests/public_configs.jsonl").lines();
    let configs: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(configs.len() > 35);
    for entry in configs {
        if let Err(error) = parse(&entry["config"]) {
            panic!("{}: {error}", entry["model"]);
        }
    }
}

#[test]
fn models_of_another_kind_are_recognised() {
    for (change, expected) in [
        (
            json!({"quantization": {"quant_method": "gptq", "bits": 4}}),
            "quantized model (gptq)",
        ),
        (
            json!({"quantization_config": {"quant_method": "hqq"}}),
            "quantized model (hqq)",
        ),
        (
            json!({"quantization_config": {"bits": 8}}),
            "quantized model (quantization_config",
        ),
        (
            json!({"compression_config": {"quant_method": "compressed-tensors"}}),
            "(compressed-tensors)",
        ),
        (
            json!({"model_type": "llava", "vision_config": {}}),
            "a model of images and text",
        ),
        (
            json!({"model_type": "gemma3", "text_config": {}}),
            "a model of several parts",
        ),
        (
            json!({"architectures": ["LlamaForSequenceClassification"]}),
            "LlamaForSequenceClassification",
        ),
    ] {
        refuses(with(llama(), change), &["m holds", expected]);
    }
    accepts(with(
        llama(),
        json!({"quantization_config": {}, "architectures": ["LlamaForCausalLM"]}),
    ));
}
