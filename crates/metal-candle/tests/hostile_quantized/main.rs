//! Quantized checkpoints that contradict their configuration or themselves are refused by the name of
//! the tensor, before anything of the sizes that they name is allocated.
#![allow(clippy::unwrap_used)]

mod experts;
mod keys;
#[path = "../support/mod.rs"]
mod support;

use candle_core::Device;
use metal_candle::models::Model;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors, serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use support::golden;

/// A tensor of a file.
#[derive(Clone)]
struct Raw {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

type Tensors = BTreeMap<String, Raw>;

const LAYER: &str = "model.layers.0.mlp.up_proj";

fn read(file: &[u8]) -> Tensors {
    let tensors = SafeTensors::deserialize(file).unwrap();
    let tensors = tensors.iter().map(|(name, view)| {
        let raw = Raw {
            dtype: view.dtype(),
            shape: view.shape().to_vec(),
            bytes: view.data().to_vec(),
        };
        (name.to_string(), raw)
    });
    tensors.collect()
}

fn write(tensors: &Tensors) -> Vec<u8> {
    let views = tensors.iter().map(|(name, raw)| {
        let view = TensorView::new(raw.dtype, raw.shape.clone(), &raw.bytes);
        (name, view.unwrap())
    });
    serialize(views, None).unwrap()
}

/// Refusal of a copy of the checkpoint `name` that `change` was done to.
#[track_caller]
fn refused(name: &str, change: impl FnOnce(&mut Tensors, &mut Value), expected: &[&str]) {
    let (from, to) = (golden(name).join("model"), tempfile::tempdir().unwrap());
    let file = "model.safetensors";
    let mut tensors = read(&fs::read(from.join(file)).unwrap());
    let config = fs::read(from.join("config.json")).unwrap();
    let mut config = serde_json::from_slice(&config).unwrap();
    change(&mut tensors, &mut config);
    fs::write(to.path().join(file), write(&tensors)).unwrap();
    fs::write(to.path().join("config.json"), config.to_string()).unwrap();
    let message = match Model::load(to.path(), &Device::Cpu) {
        Ok(_) => panic!("accepted"),
        Err(error) => error.to_string(),
    };
    for text in expected {
        assert!(message.contains(text), "no {text:?} in {message}");
    }
}

fn raw<'a>(tensors: &'a mut Tensors, part: &str) -> &'a mut Raw {
    tensors.get_mut(&format!("{LAYER}.{part}")).unwrap()
}

const STATE: &str = "weight.quant_state.bitsandbytes__nf4";

/// The state of a matrix, changed.
fn restate(tensors: &mut Tensors, change: impl FnOnce(&mut Value)) {
    let state = raw(tensors, STATE);
    let mut value = serde_json::from_slice(&state.bytes).unwrap();
    change(&mut value);
    retext(state, value.to_string());
}

fn retext(state: &mut Raw, text: impl Into<Vec<u8>>) {
    state.bytes = text.into();
    state.shape = vec![state.bytes.len()];
}

#[test]
fn states_that_lie() {
    let lies = [
        (
            "blocksize",
            json!(0),
            "blocksize must be a whole number from 1",
        ),
        ("blocksize", json!(63), "absmax: expected [66], got [64]"),
        ("blocksize", json!(128), "absmax: expected [32], got [64]"),
        (
            "blocksize",
            json!(2_147_483_646),
            "absmax: expected [1], got [64]",
        ),
        (
            "blocksize",
            json!(1e30),
            "blocksize must be a whole number from 1",
        ),
        (
            "shape",
            json!([64, 65]),
            "shape must be [64,64], as the model has it, got [64,65]",
        ),
        (
            "shape",
            json!([u64::MAX, u64::MAX]),
            "shape must be [64,64]",
        ),
        (
            "shape",
            Value::Null,
            "shape must be [64,64], as the model has it, got null",
        ),
        (
            "quant_type",
            json!("fp4"),
            "quant_type must be that of the tensor's name, got fp4",
        ),
        (
            "nested_blocksize",
            json!(1),
            "nested_absmax: expected [64], got [1]",
        ),
        (
            "nested_dtype",
            json!("float16"),
            "nested_dtype must be float32, got float16",
        ),
        (
            "nested_offset",
            json!("x"),
            "nested_offset must be a number",
        ),
        ("nested_offset", Value::Null, "nested_offset must be given"),
        ("other", json!(1), "other must be absent, got 1"),
    ];
    for (field, value, expected) in lies {
        let change = |tensors: &mut Tensors, _: &mut Value| {
            restate(tensors, |state| state[field] = value);
        };
        refused("bnb-nf4", change, &[LAYER, expected]);
    }
}

#[test]
fn states_that_are_none() {
    let texts: [(&[u8], &str); 4] = [
        (b"", "no JSON object"),
        (b"[1]", "no JSON object: [1]"),
        (b"{\"blocksize\": 64", "no JSON object: EOF"),
        (b"\xff\xfe", "no JSON object"),
    ];
    for (text, expected) in texts {
        let change = |tensors: &mut Tensors, _: &mut Value| retext(raw(tensors, STATE), text);
        refused("bnb-nf4", change, &[LAYER, STATE, expected]);
    }
    let long = |tensors: &mut Tensors, _: &mut Value| {
        retext(raw(tensors, STATE), vec![b' '; 1 << 17]);
    };
    refused("bnb-nf4", long, &[STATE, "a text of 131072 bytes"]);
    let missing = |tensors: &mut Tensors, _: &mut Value| {
        tensors.remove(&format!("{LAYER}.{STATE}"));
    };
    let told = format!("missing {LAYER}.{STATE}: {LAYER}.weight has dtype U8");
    refused("bnb-nf4", missing, &[&told]);
}

#[test]
fn tensors_that_are_cut_short_or_missing() {
    for part in [
        "weight",
        "weight.absmax",
        "weight.quant_map",
        "weight.nested_quant_map",
    ] {
        let cut = |tensors: &mut Tensors, _: &mut Value| {
            let raw = raw(tensors, part);
            let width = raw.bytes.len() / raw.shape[0];
            raw.shape[0] -= 1;
            raw.bytes.truncate(raw.bytes.len() - width);
        };
        refused("bnb-nf4", cut, &[&format!("{LAYER}.{part}: expected")]);
        let missing = |tensors: &mut Tensors, _: &mut Value| {
            tensors.remove(&format!("{LAYER}.{part}"));
        };
        refused("bnb-nf4", missing, &[&format!("missing {LAYER}.{part}")]);
    }
    for (name, part) in [
        ("bnb-int8", "SCB"),
        ("fp8", "weight_scale_inv"),
        ("mlx-mxfp4", "scales"),
    ] {
        let cut = |tensors: &mut Tensors, _: &mut Value| {
            let raw = raw(tensors, part);
            let width = raw.bytes.len() / raw.shape[0];
            raw.shape[0] -= 1;
            raw.bytes.truncate(raw.bytes.len() - width);
        };
        refused(name, cut, &[&format!("{LAYER}.{part}: expected")]);
    }
}

#[test]
fn factors_that_are_no_numbers() {
    for (name, part) in [
        ("bnb-nf4", "weight.quant_map"),
        ("bnb-nf4", "weight.nested_absmax"),
        ("bnb-fp4", "weight.absmax"),
        ("bnb-int8", "SCB"),
        ("fp8", "weight_scale_inv"),
    ] {
        for number in [f32::NAN, f32::INFINITY] {
            let change = |tensors: &mut Tensors, _: &mut Value| {
                raw(tensors, part).bytes[4..8].copy_from_slice(&number.to_le_bytes());
            };
            // One number is at least in each, and the second where there are two.
            let change =
                |tensors: &mut Tensors, config: &mut Value| match raw(tensors, part).bytes.len() {
                    4 => raw(tensors, part)
                        .bytes
                        .copy_from_slice(&number.to_le_bytes()),
                    _ => change(tensors, config),
                };
            refused(
                name,
                change,
                &[&format!("{LAYER}.{part}: holds NaN or infinite values")],
            );
        }
    }
    let change = |tensors: &mut Tensors, _: &mut Value| raw(tensors, "scales").bytes[3] = 0xff;
    refused(
        "mlx-mxfp4",
        change,
        &[LAYER, "mxfp4: a scale must be a number, got NaN"],
    );
    let change = |tensors: &mut Tensors, _: &mut Value| raw(tensors, "weight").bytes[3] = 0x7f;
    refused(
        "fp8",
        change,
        &[LAYER, "fp8: an element must be a number, got NaN"],
    );
    let change = |tensors: &mut Tensors, _: &mut Value| raw(tensors, "SCB").bytes.fill(0);
    refused("bnb-int8", change, &["all scales of the quantized", LAYER]);
}

#[test]
fn configurations_that_contradict_the_tensors() {
    let plain = "model.layers.1.mlp.up_proj";
    let skips = |names: Value| {
        move |_: &mut Tensors, config: &mut Value| {
            config["quantization_config"]["llm_int8_skip_modules"] = names;
        }
    };
    let told = format!("{plain}.weight has dtype F32, and llm_int8_skip_modules does not name it");
    refused("bnb-nf4", skips(json!(["lm_head"])), &[&told]);
    let told = format!("unexpected {LAYER}.{STATE}: llm_int8_skip_modules names \"up_proj\"");
    refused("bnb-nf4", skips(json!(["lm_head", "up_proj"])), &[&told]);
    refused(
        "bnb-nf4",
        skips(json!("lm_head")),
        &["llm_int8_skip_modules must be a list"],
    );
    let eight = |_: &mut Tensors, config: &mut Value| {
        config["quantization_config"]["load_in_4bit"] = false.into();
        config["quantization_config"]["load_in_8bit"] = true.into();
    };
    refused("bnb-nf4", eight, &[&format!("missing {LAYER}.SCB")]);
    let both = |_: &mut Tensors, config: &mut Value| {
        config["quantization_config"]["load_in_8bit"] = true.into();
    };
    refused(
        "bnb-nf4",
        both,
        &["load_in_4bit must be true, or load_in_8bit, but not both"],
    );
    let blocks = |value: Value| {
        move |_: &mut Tensors, config: &mut Value| {
            config["quantization_config"]["weight_block_size"] = value;
        }
    };
    let told = format!("{LAYER}.weight_scale_inv: expected [1, 1], got [3, 2]");
    refused("fp8", blocks(json!([128, 128])), &[&told]);
    refused(
        "fp8",
        blocks(json!([0, 20])),
        &["weight_block_size must be two whole numbers from 1"],
    );
    refused(
        "fp8",
        blocks(Value::Null),
        &[&format!("{LAYER}.weight_scale_inv: expected []")],
    );
    let unknown = |_: &mut Tensors, config: &mut Value| {
        config["quantization_config"]["rotation"] = true.into();
    };
    refused(
        "fp8",
        unknown,
        &["quantization_config.rotation must be absent, got true"],
    );
    let mode = |_: &mut Tensors, config: &mut Value| {
        config["quantization"]["mode"] = "mxfp8".into();
        config["quantization"]["bits"] = 8.into();
        config
            .as_object_mut()
            .unwrap()
            .remove("quantization_config");
    };
    refused(
        "mlx-mxfp4",
        mode,
        &[&format!("{LAYER}.weight: expected [128, 16], got [128, 8]")],
    );
}

#[test]
fn groups_and_shapes_that_contradict_the_words() {
    let gptq = "zero-point/gptq";
    for part in ["qweight", "qzeros", "scales", "g_idx"] {
        let cut = |tensors: &mut Tensors, _: &mut Value| {
            let raw = raw(tensors, part);
            let width = raw.bytes.len() / raw.shape[0];
            raw.shape[0] -= 1;
            raw.bytes.truncate(raw.bytes.len() - width);
        };
        refused(gptq, cut, &[&format!("{LAYER}.{part}: expected")]);
    }
    let settings = |name: &'static str, value: Value| {
        move |_: &mut Tensors, config: &mut Value| {
            config["quantization_config"][name] = value;
        }
    };
    let told = format!("{LAYER}.qweight: expected [16, 64], got [8, 64]");
    refused(gptq, settings("bits", json!(8)), &[&told]);
    let told = format!("{LAYER}.qzeros: expected [1, 8], got [2, 8]");
    refused(gptq, settings("group_size", json!(-1)), &[&told]);
    let told = format!("{LAYER}: rows of 64 do not divide into groups of 48");
    refused(gptq, settings("group_size", json!(48)), &[&told]);
    refused(gptq, settings("bits", json!(1u64 << 40)), &["bits must be"]);
    let order = |number: i32| {
        move |tensors: &mut Tensors, _: &mut Value| {
            raw(tensors, "g_idx").bytes[..4].copy_from_slice(&number.to_le_bytes());
        }
    };
    let told = format!("{LAYER}: zero_point: g_idx must be below 2, got -1");
    refused(gptq, order(-1), &[&told]);
    let infinite = |tensors: &mut Tensors, _: &mut Value| {
        raw(tensors, "scales").bytes[..2].copy_from_slice(&[0, 0x7c]);
    };
    let told = format!("{LAYER}.scales: holds NaN or infinite values");
    refused(gptq, infinite, &[&told]);
    // A bias that is none is left out, another is not.
    let bias = |tensors: &mut Tensors, _: &mut Value| raw(tensors, "bias").bytes[3] = 0x3c;
    refused(gptq, bias, &[&format!("unexpected {LAYER}.bias")]);
    let shape = |tensors: &mut Tensors, _: &mut Value| raw(tensors, "weight_shape").bytes[0] = 3;
    let told = format!("{LAYER}.weight_shape: expected [64, 64], got [3, 64]");
    refused("zero-point/compressed-tensors", shape, &[&told]);
    let names = settings("modules_to_not_convert", json!(["up_proj"]));
    let told = format!("unexpected {LAYER}.qweight: modules_to_not_convert names \"up_proj\"");
    refused("zero-point/awq", names, &[&told]);
}

/// Another order is that of kernels on GPUs.
#[test]
fn eight_bits_that_do_not_lie_row_by_row() {
    let change = |tensors: &mut Tensors, _: &mut Value| raw(tensors, "weight_format").bytes[0] = 2;
    refused(
        "bnb-int8",
        change,
        &["weight_format: expected 0 (rows), got 2"],
    );
}
