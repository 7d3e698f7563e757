//! A base model as mlx-lm quantizes it: 4 bits, in groups of 32.

use crate::fixture::{Fixture, config, write_weights};
use candle_core::Tensor;
use metal_candle_kernels::weight::Packed;
use metal_candle_kernels::weight::affine::Affine;
use serde_json::{Value, json};
use std::collections::HashMap;

const WEIGHTS: &str = "model/model.safetensors";
const GENERATE: &str = "generate --model model -p hello --max-tokens 8 --temp 0 --json";

/// A fixture whose matrices would divide into groups.
pub fn dense() -> Fixture {
    let fixture = Fixture::new();
    let mut config = config();
    config["intermediate_size"] = 64.into();
    write_weights(&fixture.path("model"), &config, 5);
    fixture
}

pub fn quantize(fixture: &Fixture) {
    fixture.edit_tensors(WEIGHTS, |tensors| {
        *tensors = std::mem::take(tensors)
            .into_iter()
            .flat_map(packed)
            .collect();
    });
    fixture.edit("model/config.json", |config| {
        config["quantization"] = json!({"group_size": 32, "bits": 4});
    });
}

fn packed((name, tensor): (String, Tensor)) -> HashMap<String, Tensor> {
    if tensor.rank() != 2 {
        return HashMap::from([(name, tensor)]);
    }
    let path = name.strip_suffix(".weight").unwrap();
    let packed = Affine::quantize(&tensor, 4, 32).unwrap();
    let parts = packed.tensors().into_iter();
    parts
        .map(|(part, tensor)| (format!("{path}.{part}"), tensor.clone()))
        .collect()
}

fn perplexity(fixture: &Fixture) -> f64 {
    let words = "perplexity --model model --data data/valid.jsonl --json";
    fixture.ok_json(words)["perplexity"].as_f64().unwrap()
}

#[test]
fn an_adapter_is_trained_on_it_and_used_beside_it() {
    let fixture = dense();
    let of_dense = perplexity(&fixture);
    quantize(&fixture);
    let base = perplexity(&fixture);
    assert!((base / of_dense - 1.0).abs() < 0.3, "{base} {of_dense}");
    fixture.train("--iters 12 --val-batches -1 --mask-prompt");
    let trained = fixture
        .ok_json("perplexity --model model --adapter-path adapters --data data/valid.jsonl --json");
    let trained = trained["perplexity"].as_f64().unwrap();
    assert!(trained < 0.9 * base, "{trained} {base}");
    let before = fixture.ok_json(GENERATE);
    let after = fixture.ok_json(&format!("{GENERATE} --adapter-path adapters"));
    assert_ne!(before["token_ids"], after["token_ids"]);
    fixture.train("--resume-adapter-file adapters --iters 14");
}

#[test]
fn a_dense_base_is_quantized_while_it_is_read() {
    let fixture = dense();
    let of_dense = perplexity(&fixture);
    let loss = |words: &str| {
        let words = format!("perplexity --model model --data data/valid.jsonl --json {words}");
        fixture.ok_json(&words)["perplexity"].as_f64().unwrap()
    };
    let base = loss("--load-in-4bit");
    assert_ne!(base, of_dense);
    assert!((base / of_dense - 1.0).abs() < 0.3, "{base} {of_dense}");
    let words = "--load-in-4bit --iters 12 --val-batches -1 --mask-prompt";
    let stderr = fixture.train(words).stderr;
    let next = "generate --model model --load-in-4bit --adapter-path adapters";
    assert!(stderr.contains(next), "{stderr}");
    let trained = loss("--load-in-4bit --adapter-path adapters");
    assert!(trained < 0.9 * base, "{trained} {base}");
    let settings = fixture.json("adapters/run.json");
    assert_eq!(settings["load_in_4bit"], "nf4");
    let stored = |words: &str| {
        let layers = fixture.ok_json(&format!("inspect --model model --json {words}"));
        let stored = layers["layers"].as_array().unwrap().iter();
        stored
            .map(|layer| layer["stored"].as_str().unwrap().to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(stored("")[..2], ["f32", "f32"]);
    assert_eq!(stored("--load-in-4bit")[..2], ["f32", "nf4, blocks of 64"]);
    // Rows of 64 divide into groups, those of 32 do not.
    let affine = stored("--load-in-4bit=affine");
    assert!(
        affine.contains(&"affine, 4 bits in groups of 64".into()),
        "{affine:?}"
    );
    fixture.ok("convert --model model --save-path model.gguf --type q8_0");
    let words = "inspect --model model.gguf --load-in-4bit";
    fixture.fails(words, 2, &["is quantized already"]);
    quantize(&fixture);
    let words = format!("{GENERATE} --load-in-4bit");
    fixture.fails(&words, 2, &["is quantized already"]);
}

#[test]
fn a_model_is_converted_to_folders_of_few_bits() {
    let fixture = dense();
    let loss = |model: &str| {
        let words = format!("perplexity --model {model} --data data/valid.jsonl --json");
        fixture.ok_json(&words)["loss"].as_f64().unwrap()
    };
    let of_dense = loss("model");
    for form in ["f32", "bf16", "mxfp4", "mxfp8", "nvfp4", "nf4", "affine"] {
        let words = format!("convert --model model --save-path {form} --type {form}");
        fixture.ok(&words);
        let of_form = loss(form);
        assert!(
            (of_form / of_dense - 1.0).abs() < 0.2,
            "{form}: {of_form} {of_dense}"
        );
        assert_eq!(form == "f32", of_form == of_dense, "{form}");
        fixture.fails(&words, 2, &["exists and is not empty"]);
    }
    let config = fixture.json("mxfp4/config.json");
    let want = json!({"group_size": 32, "bits": 4, "mode": "mxfp4"});
    assert_eq!(
        [&config["quantization"], &config["quantization_config"]],
        [&want; 2]
    );
    for (words, expected) in [
        ("x.gguf --type nvfp4", "--type one of folders"),
        ("x --type q4_0", "name a file: x.gguf"),
        ("x --type q2", "must be one of f32, f16, bf16, q8_0"),
    ] {
        let words = format!("convert --model model --save-path {words}");
        fixture.fails(&words, 2, &[expected]);
    }
}

#[test]
fn a_fused_model_is_unpacked_on_request() {
    let fixture = dense();
    quantize(&fixture);
    fixture.edit("model/config.json", |config| {
        config["torch_dtype"] = "float32".into();
    });
    fixture.train("");
    fixture.ok("fuse --model model --dequantize");
    assert!(fixture.json("fused_model/config.json")["quantization"].is_null());
    let loss = |words: &str| {
        let words = format!("perplexity {words} --data data/valid.jsonl --json");
        fixture.ok_json(&words)["loss"].as_f64().unwrap()
    };
    let (beside, fused) = (
        loss("--model model --adapter-path adapters"),
        loss("--model fused_model"),
    );
    assert!((beside - fused).abs() < 1e-4, "{beside} {fused}");
    let told = fixture.ok("fuse --model fused_model --save-path again --dequantize");
    assert!(told.stderr.contains("is not quantized"), "{}", told.stderr);
}

#[test]
fn what_would_lose_the_adapter_is_refused() {
    let fixture = dense();
    quantize(&fixture);
    fixture.train("");
    let expected = [
        "not merged into quantized weights",
        "model.layers.0.",
        "help: leave the adapter",
    ];
    let words = format!("{GENERATE} --adapter-path adapters --merge");
    fixture.fails(&words, 2, &expected);
    fixture.fails(
        "train --model model --data data --fine-tune-type full --adapter-path full",
        2,
        &["model.embed_tokens is quantized", "help: train an adapter"],
    );
}

#[test]
fn parts_that_contradict_the_configuration_are_all_told() {
    let fixture = dense();
    quantize(&fixture);
    let refused = |change: &dyn Fn(&mut Value), expected: &[&str]| {
        let config = fixture.read("model/config.json");
        fixture.edit("model/config.json", |config| {
            change(&mut config["quantization"])
        });
        fixture.fails(GENERATE, 2, expected);
        fixture.write("model/config.json", &config);
    };
    refused(
        &|settings| settings["bits"] = 8.into(),
        &[
            "model.embed_tokens.weight: expected [320, 8], got [320, 4]",
            "mlp.down_proj.weight",
        ],
    );
    refused(
        &|settings| settings["group_size"] = 64.into(),
        &["model.embed_tokens: rows of 32 do not divide into groups of 64"],
    );
    refused(
        &|settings| settings["model.norm"] = json!({"group_size": 32, "bits": 4}),
        &["missing model.norm.scales"],
    );
    refused(
        &|settings| settings["model.layers.0.mlp.up_proj"] = false.into(),
        &["unexpected model.layers.0.mlp.up_proj.scales"],
    );
    refused(
        &|settings| settings["bits"] = 7.into(),
        &["quantization.bits must be one of [2, 3, 4, 5, 6, 8], got 7"],
    );
    refused(
        &|settings| settings["lm_head"] = json!({"group_size": 32, "bits": 4, "mode": "int4"}),
        &["mode must be affine, mxfp4, mxfp8, nvfp4, got int4"],
    );
    let weights = fixture.tensors(WEIGHTS);
    fixture.edit_tensors(WEIGHTS, |tensors| {
        let scales = tensors
            .get_mut("model.layers.1.mlp.up_proj.scales")
            .unwrap();
        *scales = scales.zeros_like().unwrap();
    });
    let told = "all scales of the quantized model.layers.1.mlp.up_proj are zero";
    fixture.fails(GENERATE, 2, &["damaged", told]);
    fixture.edit_tensors(WEIGHTS, |tensors| *tensors = weights.clone());
    fixture.edit_tensors(WEIGHTS, |tensors| {
        tensors.retain(|name, _| !name.ends_with("q_proj.biases"));
    });
    fixture.fails(
        GENERATE,
        2,
        &["missing model.layers.0.self_attn.q_proj.biases"],
    );
}
