//! Experts that lie together in blocks, as gpt-oss has them.

use super::{Tensors, refused};
use safetensors::Dtype;
use serde_json::{Value, json};

const NAME: &str = "gpt-oss-mxfp4";
const EXPERTS: &str = "model.layers.0.mlp.experts";

#[track_caller]
fn without(part: &str, expected: &[&str]) {
    let missing = |tensors: &mut Tensors, _: &mut Value| {
        tensors.remove(&format!("{EXPERTS}.{part}")).unwrap();
    };
    refused(NAME, missing, expected);
}

#[test]
fn parts_that_are_missing() {
    for (part, layers, end) in [
        (
            "gate_up_proj_blocks",
            &["gate_proj", "up_proj"][..],
            "weight",
        ),
        ("gate_up_proj_scales", &["gate_proj", "up_proj"], "scales"),
        ("gate_up_proj_bias", &["gate_proj", "up_proj"], "bias"),
        ("down_proj_blocks", &["down_proj"], "weight"),
        ("down_proj_scales", &["down_proj"], "scales"),
        ("down_proj_bias", &["down_proj"], "bias"),
    ] {
        for layer in layers {
            let told = [0, 2].map(|e| format!("missing {EXPERTS}.{e}.{layer}.{end}"));
            without(part, &told.each_ref().map(String::as_str));
        }
    }
    let sinks = |tensors: &mut Tensors, _: &mut Value| {
        tensors.remove("model.layers.1.self_attn.sinks").unwrap();
    };
    refused(NAME, sinks, &["missing model.layers.1.self_attn.sinks [6]"]);
}

/// Changes the shape of a part; of its bytes, as many as that has.
#[track_caller]
fn shaped(part: &str, shape: &[usize], expected: &[&str]) {
    let change = |tensors: &mut Tensors, _: &mut Value| {
        let raw = tensors.get_mut(&format!("{EXPERTS}.{part}")).unwrap();
        let size = raw.bytes.len() / raw.shape.iter().product::<usize>();
        raw.shape = shape.to_vec();
        raw.bytes.resize(shape.iter().product::<usize>() * size, 0);
    };
    refused(NAME, change, expected);
}

#[test]
fn parts_of_other_shapes() {
    let gate = format!("{EXPERTS}.0.gate_proj");
    let scales = format!("{gate}.scales: expected [96, 2], got");
    shaped(
        "gate_up_proj_scales",
        &[3, 192, 1],
        &[&format!("{scales} [96, 1]")],
    );
    shaped(
        "gate_up_proj_scales",
        &[3, 190, 2],
        &[&format!("{scales} [95, 2]")],
    );
    shaped(
        "gate_up_proj_blocks",
        &[3, 192, 3, 16],
        &[&format!("{gate}.weight: expected [96, 8], got [96, 12]")],
    );
    // No block, an odd row, no expert, and dimensions that there are not: no part of any expert.
    for shape in [
        &[3, 192, 2, 8][..],
        &[3, 191, 2, 16],
        &[0, 192, 2, 16],
        &[3, 192, 32],
    ] {
        let unexpected = format!("unexpected {EXPERTS}.gate_up_proj_blocks");
        let missing = format!("missing {gate}.weight");
        shaped("gate_up_proj_blocks", shape, &[&unexpected, &missing]);
    }
    shaped(
        "gate_up_proj_bias",
        &[3, 190],
        &[&format!("{gate}.bias: expected [96], got [95]")],
    );
    let bias = format!("unexpected {EXPERTS}.2.down_proj.bias");
    let fewer = |tensors: &mut Tensors, config: &mut Value| {
        config["num_local_experts"] = 2.into();
        for (name, raw) in tensors
            .iter_mut()
            .filter(|(name, _)| name.contains(".mlp.router."))
        {
            assert!(name.ends_with("weight") || name.ends_with("bias"));
            let width = raw.bytes.len() / raw.shape[0];
            raw.shape[0] = 2;
            raw.bytes.truncate(2 * width);
        }
    };
    refused(NAME, fewer, &[&bias]);
    let more = |_: &mut Tensors, config: &mut Value| config["num_local_experts"] = 4.into();
    let router = "model.layers.0.mlp.router.weight: expected [4, 64], got [3, 64]";
    refused(
        NAME,
        more,
        &[router, &format!("missing {EXPERTS}.3.gate_proj.weight")],
    );
}

#[test]
fn numbers_that_are_none() {
    let nan = |tensors: &mut Tensors, _: &mut Value| {
        let scales = tensors
            .get_mut(&format!("{EXPERTS}.gate_up_proj_scales"))
            .unwrap();
        // A row of the upper projection.
        scales.bytes[2] = 255;
    };
    refused(NAME, nan, &[&format!("{EXPERTS}.0.up_proj"), "NaN"]);
    let floats = |tensors: &mut Tensors, _: &mut Value| {
        let blocks = tensors
            .get_mut(&format!("{EXPERTS}.down_proj_blocks"))
            .unwrap();
        blocks.dtype = Dtype::I8;
    };
    refused(
        NAME,
        floats,
        &[&format!("missing {EXPERTS}.0.down_proj.weight")],
    );
}

#[test]
fn settings_that_contradict_the_tensors() {
    let mut all = vec![
        (
            json!({"quant_method": "mxfp4", "dequantize": "no"}),
            "quantization_config.dequantize must be true or false",
        ),
        (
            json!({"quant_method": "mxfp4", "bits": 4}),
            "quantization_config.bits must be absent",
        ),
        (
            json!({"quant_method": "mxfp4", "modules_to_not_convert": 1}),
            "modules_to_not_convert must be a list",
        ),
    ];
    let weight = format!("{EXPERTS}.0.gate_proj.weight");
    let dense = format!("{weight}: expected [96, 64], got [96, 8]");
    let skipped =
        json!({"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.mlp.experts"]});
    all.push((skipped, &dense));
    all.push((Value::Null, "holds a quantized model (it has a tensor"));
    for (settings, expected) in all {
        let change = |_: &mut Tensors, config: &mut Value| config["quantization_config"] = settings;
        refused(NAME, change, &[expected]);
    }
}
