use crate::fixture::{Fixture, config, write_weights};
use candle_core::{DType, Device, Tensor};
use serde_json::json;

/// An adapter alone, as it is copied from place to place.
fn trained() -> Fixture {
    let fixture = Fixture::new();
    fixture.train("--iters 1");
    std::fs::remove_dir_all(fixture.path("adapters/checkpoint-1")).unwrap();
    fixture
}

/// Every command that reads an adapter says the same, and writes nothing.
fn all_fail(fixture: &Fixture, expected: &[&str]) {
    let with = "--model model --adapter-path adapters";
    fixture.fails(&format!("generate {with} -p x"), 2, expected);
    fixture.fails(
        &format!("perplexity {with} --data data/valid.jsonl"),
        2,
        expected,
    );
    fixture.fails(&format!("inspect {with}"), 2, expected);
    fixture.fails(&format!("fuse {with} --save-path fused"), 2, expected);
    fixture.assert_nothing_half_written("fused");
    let resume =
        "train --model model --data data --resume-adapter-file adapters --adapter-path out";
    fixture.fails(resume, 2, expected);
    fixture.assert_nothing_half_written("out");
}

#[test]
fn missing_adapter() {
    let fixture = Fixture::new();
    all_fail(&fixture, &["no adapter at adapters", "adapter_config.json"]);
    std::fs::create_dir(fixture.path("adapters")).unwrap();
    all_fail(&fixture, &["adapters/adapter_config.json"]);
}

#[test]
fn adapter_for_another_model() {
    let fixture = trained();
    let mut other = config();
    other["hidden_size"] = 16.into();
    write_weights(&fixture.path("model"), &other, 1);
    let expected = [
        "does not fit this model",
        "expected [4, 16], got [4, 32]",
        "base_model_name_or_path",
    ];
    all_fail(&fixture, &expected);
}

#[test]
fn adapter_with_more_blocks() {
    let fixture = trained();
    let mut other = config();
    other["num_hidden_layers"] = 1.into();
    write_weights(&fixture.path("model"), &other, 1);
    all_fail(&fixture, &["unexpected base_model.model.model.layers.1."]);
}

#[test]
fn dora_is_refused() {
    let fixture = trained();
    fixture.edit("adapters/adapter_config.json", |config| {
        config["use_dora"] = true.into()
    });
    all_fail(&fixture, &["use_dora = true", "DoRA is not built"]);
    fixture.fails(
        "train --model model --data data --fine-tune-type dora",
        2,
        &["DoRA is not built"],
    );
}

#[test]
fn unknown_adapter_field_is_refused() {
    let fixture = trained();
    fixture.edit("adapters/adapter_config.json", |config| {
        config["use_new_thing"] = json!({"a": 1})
    });
    all_fail(&fixture, &["use_new_thing"]);
}

#[test]
fn damaged_adapter() {
    let fixture = trained();
    let path = fixture.path("adapters/adapter_model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    all_fail(
        &fixture,
        &["adapter_model.safetensors", "not a valid safetensors file"],
    );
}

#[test]
fn nan_adapter() {
    let fixture = trained();
    let name = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight";
    fixture.edit_tensors("adapters/adapter_model.safetensors", |tensors| {
        let nan = Tensor::full(f32::NAN, (32, 4), &Device::Cpu).unwrap();
        tensors.insert(name.into(), nan.to_dtype(DType::F32).unwrap());
    });
    all_fail(&fixture, &[name, "holds NaN"]);
}
