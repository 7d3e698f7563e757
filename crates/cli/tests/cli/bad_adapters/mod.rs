//! Adapters that do not fit, one file for each kind of mistake.

mod config;
mod mlx;
mod tensors;

use crate::fixture::{Ended, Fixture, config as model_config, write_weights};
use serde_json::json;

const CONFIG: &str = "adapters/adapter_config.json";
const TENSORS: &str = "adapters/adapter_model.safetensors";
const GENERATE: &str = "generate --model model --adapter-path adapters -p x";

/// An adapter alone, as it is copied from place to place.
fn trained() -> Fixture {
    let fixture = Fixture::new();
    fixture.train("--iters 1");
    std::fs::remove_dir_all(fixture.path("adapters/checkpoint-1")).unwrap();
    fixture
}

/// Every command that reads an adapter says the same, and writes nothing.
fn all_fail(fixture: &Fixture, expected: &[&str]) -> Ended {
    let with = "--model model --adapter-path adapters";
    let ended = fixture.fails(GENERATE, 2, expected);
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
    ended
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
    let mut other = model_config();
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
    let mut other = model_config();
    other["num_hidden_layers"] = 1.into();
    write_weights(&fixture.path("model"), &other, 1);
    all_fail(&fixture, &["unexpected base_model.model.model.layers.1."]);
}

#[test]
fn a_method_that_the_tensors_are_not_of() {
    let fixture = trained();
    let resume = "--fine-tune-type dora --resume-adapter-file adapters --adapter-path out";
    fixture.fails(
        &format!("train --model model --data data {resume}"),
        2,
        &["is a lora adapter", "leave --fine-tune-type out"],
    );
    fixture.edit("adapters/adapter_config.json", |config| {
        config["use_dora"] = true.into()
    });
    all_fail(
        &fixture,
        &["missing base_model.model.model.layers.0.mlp.down_proj.lora_magnitude_vector [32]"],
    );
}

#[test]
fn another_base_model_is_told() {
    let fixture = trained();
    let told = |name: &str| {
        fixture.edit(CONFIG, |config| {
            config["base_model_name_or_path"] = json!(name)
        });
        fixture.ok(&format!("{GENERATE} -m 1")).stderr
    };
    assert!(told("org/other").contains("trained on org/other, this model is model"));
    for same in ["org/Model", "/somewhere/else", ""] {
        assert!(!told(same).contains("trained on"), "{same}");
    }
}

/// Of a file that PEFT saved, names that match nothing are told; of options they are refused.
#[test]
fn names_of_other_models_are_told() {
    let fixture = trained();
    let plain = fixture.ok(&format!("{GENERATE} -m 4")).stdout;
    fixture.edit(CONFIG, |config| {
        let names = config["target_modules"].as_array_mut().unwrap();
        names.extend([json!("c_attn"), json!("query_key_value")]);
        config["rank_pattern"] = json!({"w1": 3});
        config["fan_in_fan_out"] = json!(true);
    });
    let ended = fixture.ok(&format!("{GENERATE} -m 4"));
    assert_eq!(ended.stdout, plain);
    for told in [
        "target_modules names what this model does not have: c_attn, query_key_value",
        "rank_pattern names what this model does not have: w1",
        "fan_in_fan_out has no effect",
    ] {
        assert_eq!(
            ended.stderr.matches(told).count(),
            1,
            "{told}: {}",
            ended.stderr
        );
    }
    fixture.ok("inspect --model model --adapter-path adapters");
    fixture.ok("train --model model --data data --iters 1 --resume-adapter-file adapters --adapter-path out");
    fixture.fails(
        "inspect --model model --targets q_proj,c_attn",
        2,
        &["target c_attn matches"],
    );
}
