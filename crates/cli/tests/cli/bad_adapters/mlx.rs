//! Folders of mlx-lm.

use super::{CONFIG, GENERATE, all_fail, trained};
use crate::fixture::Fixture;
use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};

const TENSORS: &str = "adapters/adapters.safetensors";

/// An adapter of mlx-lm.
fn converted() -> Fixture {
    let fixture = trained();
    fixture.ok("adapter convert adapters mlx --to mlx --model model");
    std::fs::remove_dir_all(fixture.path("adapters")).unwrap();
    std::fs::rename(fixture.path("mlx"), fixture.path("adapters")).unwrap();
    fixture
}

#[test]
fn whole_weights_are_no_adapter() {
    let fixture = converted();
    fixture.edit(CONFIG, |config| config["fine_tune_type"] = json!("full"));
    all_fail(&fixture, &["fine_tune_type = \"full\"", "mlx_lm.fuse"]);
}

#[test]
fn hostile_values_in_the_configuration() {
    let cases: [(&str, Value, &str); 15] = [
        (
            "/fine_tune_type",
            json!("qlora"),
            "fine_tune_type = \"qlora\"",
        ),
        ("/fine_tune_type", json!(7), "fine_tune_type = 7"),
        ("/num_layers", json!("all"), "num_layers: invalid type"),
        ("/num_layers", json!(null), "num_layers: invalid type"),
        ("/num_layers", json!(1.5), "num_layers: invalid type"),
        (
            "/lora_parameters",
            json!(null),
            "lora_parameters: invalid type",
        ),
        (
            "/lora_parameters",
            json!([]),
            "lora_parameters: invalid type",
        ),
        ("/lora_parameters/rank", json!(0), "rank must be"),
        (
            "/lora_parameters/rank",
            json!(60_000),
            "rank 4, adapter_config.json gives 60000",
        ),
        (
            "/lora_parameters/rank",
            json!(1_000_000_000),
            "rank must be",
        ),
        ("/lora_parameters/scale", json!(0), "scale: 0 is of no use"),
        ("/lora_parameters/scale", json!(1e300), "scale: "),
        (
            "/lora_parameters/dropout",
            json!(1),
            "dropout must be in [0, 1)",
        ),
        (
            "/lora_parameters/keys",
            json!("q_proj"),
            "keys: invalid type",
        ),
        (
            "/lora_parameters/keys",
            json!(["q_proj"]),
            "target_modules [] matches no layer",
        ),
    ];
    let fixture = converted();
    let config = fixture.json(CONFIG);
    for (field, value, expected) in cases {
        fixture.edit(CONFIG, |config| *config.pointer_mut(field).unwrap() = value);
        fixture.fails(GENERATE, 2, &["adapters/adapter", expected]);
        fixture.write(CONFIG, &config.to_string());
    }
    fixture.edit(CONFIG, |config| {
        config["lora_parameters"]["use_thing"] = json!(1)
    });
    fixture.fails(GENERATE, 2, &["lora_parameters.use_thing = 1"]);
    fixture.edit(CONFIG, |config| {
        config["lora_parameters"] = json!({"rank": 4, "dropout": 0, "alpha": 16})
    });
    fixture.fails(GENERATE, 2, &["scale: is missing"]);
}

#[test]
fn tensors_that_do_not_fit() {
    let q = "model.layers.0.self_attn.q_proj";
    let zeros = |shape: &[usize], dtype| Tensor::zeros(shape, dtype, &Device::Cpu).unwrap();
    let a = zeros(&[32, 4], DType::F32);
    let cases = [
        (
            format!("{q}.lora_a"),
            None,
            "missing model.layers.0.self_attn.q_proj.lora_a [32, 4]",
        ),
        (
            format!("{q}.lora_a"),
            Some(zeros(&[4, 32], DType::F32)),
            "expected [32, 4], got [4, 32]",
        ),
        (
            format!("{q}.lora_b"),
            Some(zeros(&[3, 32], DType::F32)),
            "rank 3",
        ),
        (
            format!("{q}.lora_a"),
            Some(zeros(&[32, 4], DType::I64)),
            "dtype I64",
        ),
        (
            format!("{q}.m"),
            Some(zeros(&[32], DType::F32)),
            "not of DoRA",
        ),
        (
            "lm_head.lora_a".into(),
            Some(a.clone()),
            "does not target this layer",
        ),
        (
            format!("{q}.linear.weight"),
            Some(a.clone()),
            "not a tensor of a LoRA adapter",
        ),
        (
            format!("{q}.lora_A.weight"),
            Some(a.clone()),
            "a name of PEFT",
        ),
        (
            "model.layers.9.self_attn.q_proj.lora_a".into(),
            Some(a.clone()),
            "no such layer",
        ),
        (
            "model.layers.0.mlp.switch_mlp.up_proj.lora_a".into(),
            Some(zeros(&[2, 4, 32], DType::F32)),
            "no such layer",
        ),
        ("x".repeat(5000), Some(a), "not a tensor of a LoRA adapter"),
    ];
    for (name, tensor, expected) in cases {
        let fixture = converted();
        fixture.edit_tensors(TENSORS, |tensors| {
            tensors.remove(&name);
            tensors.extend(tensor.map(|tensor| (name, tensor)));
        });
        fixture.fails(GENERATE, 2, &["adapters.safetensors", expected]);
    }
}

#[test]
fn a_damaged_file() {
    let fixture = converted();
    let path = fixture.path(TENSORS);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    all_fail(
        &fixture,
        &["adapters.safetensors", "not a valid safetensors file"],
    );
}
