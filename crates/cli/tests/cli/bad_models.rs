use crate::fixture::{Fixture, LIMIT, write_weights};
use candle_core::{DType, Device, Tensor};
use serde_json::json;

const WEIGHTS: &str = "model/model.safetensors";

/// Every command that reads a model says the same.
fn all_fail(fixture: &Fixture, expected: &[&str]) {
    fixture.train_fails("", 2, expected);
    fixture.fails("generate --model model --prompt hello", 2, expected);
    fixture.fails("inspect --model model", 2, expected);
}

#[test]
fn missing_folder() {
    let fixture = Fixture::new();
    for path in ["nowhere", "./nowhere", "/no/such/folder", "a/b/c"] {
        let expected = [path, "this folder does not exist", "check the path"];
        fixture.fails(&format!("generate --model {path} -p x"), 2, &expected);
        fixture.train_fails(&format!("--model {path}"), 2, &expected);
    }
    fixture.fails("generate --model data/train.jsonl -p x", 2, &["is a file"]);
    std::fs::create_dir(fixture.path("empty")).unwrap();
    fixture.fails("generate --model empty -p x", 2, &["empty/config.json"]);
}

#[test]
fn no_weights_in_the_folder() {
    let fixture = Fixture::new();
    std::fs::remove_file(fixture.path(WEIGHTS)).unwrap();
    all_fail(&fixture, &["holds no checkpoint", "model.safetensors"]);
}

#[test]
fn truncated_safetensors() {
    let fixture = Fixture::new();
    let bytes = std::fs::read(fixture.path(WEIGHTS)).unwrap();
    for length in [0, 5, 100, bytes.len() - 1] {
        std::fs::write(fixture.path(WEIGHTS), &bytes[..length]).unwrap();
        let expected = [
            "model.safetensors",
            "damaged or truncated",
            "fetch the files again",
        ];
        fixture.fails("generate --model model -p x", 2, &expected);
    }
    all_fail(&fixture, &["damaged or truncated"]);
}

#[test]
fn corrupt_safetensors() {
    let fixture = Fixture::new();
    let mut bytes = std::fs::read(fixture.path(WEIGHTS)).unwrap();
    bytes[8..40].fill(b'x');
    std::fs::write(fixture.path(WEIGHTS), &bytes).unwrap();
    all_fail(&fixture, &["model.safetensors", "damaged"]);
}

#[test]
fn missing_shard() {
    let fixture = Fixture::new();
    let index = json!({"metadata": {}, "weight_map": {
        "model.norm.weight": "model-00001-of-00002.safetensors",
        "model.embed_tokens.weight": "model-00002-of-00002.safetensors",
    }});
    fixture.write("model/model.safetensors.index.json", &index.to_string());
    std::fs::rename(
        fixture.path(WEIGHTS),
        fixture.path("model/model-00001-of-00002.safetensors"),
    )
    .unwrap();
    all_fail(
        &fixture,
        &["missing shards: model-00002-of-00002.safetensors"],
    );
}

#[test]
fn all_wrong_tensors_are_told_at_once() {
    let fixture = Fixture::new();
    fixture.edit_tensors(WEIGHTS, |tensors| {
        let wrong = Tensor::zeros((31, 32), DType::F32, &Device::Cpu).unwrap();
        tensors.insert(
            "model.layers.0.self_attn.q_proj.weight".into(),
            wrong.clone(),
        );
        tensors.remove("model.layers.1.mlp.up_proj.weight");
        tensors.insert("model.layers.2.mlp.up_proj.weight".into(), wrong);
    });
    let expected = [
        "model.layers.0.self_attn.q_proj.weight: expected [32, 32], got [31, 32]",
        "missing model.layers.1.mlp.up_proj.weight [48, 32]",
        "unexpected model.layers.2.mlp.up_proj.weight",
    ];
    all_fail(&fixture, &expected);
}

#[test]
fn nan_weights() {
    let fixture = Fixture::new();
    fixture.edit_tensors(WEIGHTS, |tensors| {
        let mut values = vec![1f32; 32];
        values[3] = f32::NAN;
        let norm = Tensor::new(values, &Device::Cpu).unwrap();
        tensors.insert("model.norm.weight".into(), norm);
    });
    all_fail(
        &fixture,
        &["model.norm.weight: holds NaN or infinite values"],
    );
}

#[test]
fn unknown_model_type() {
    let fixture = Fixture::new();
    fixture.edit("model/config.json", |config| {
        config["model_type"] = "mamba".into()
    });
    all_fail(
        &fixture,
        &["model_type \"mamba\" is not supported", "qwen3"],
    );
}

#[test]
fn unknown_rope_scaling() {
    let fixture = Fixture::new();
    fixture.edit("model/config.json", |config| {
        config["rope_scaling"] = json!({"rope_type": "dynamic", "factor": 4.0});
    });
    all_fail(&fixture, &["rope_type = dynamic is not supported"]);
}

#[test]
fn malformed_config() {
    let fixture = Fixture::new();
    fixture.write("model/config.json", "{\"model_type\": \"qwen3\",");
    all_fail(&fixture, &["model/config.json", "EOF"]);
}

#[test]
fn sequence_over_the_limit() {
    let fixture = Fixture::new();
    let over = (LIMIT + 1).to_string();
    let limit = format!("max_position_embeddings of {LIMIT}");
    let expected = [over.as_str(), &limit];
    fixture.train_fails(&format!("--max-seq-length {over}"), 2, &expected);
    let words = format!("perplexity --model model --data data/valid.jsonl --max-seq-length {over}");
    fixture.fails(&words, 2, &expected);
    fixture.write("long.txt", &"a b c ".repeat(100));
    let mut command = fixture.command("generate --model model -p -");
    command.stdin(std::fs::File::open(fixture.path("long.txt")).unwrap());
    let ended = crate::fixture::ended(command.output().unwrap());
    ended.check("long prompt", 2, &["over the model's limit of 96"]);
}

#[test]
fn token_out_of_range() {
    let fixture = Fixture::new();
    let mut config = crate::fixture::config();
    config["vocab_size"] = 40.into();
    write_weights(&fixture.path("model"), &config, 1);
    let expected = [
        "data/train.jsonl:1:",
        "is out of range: the model has 40 tokens",
        "tokenizer",
    ];
    fixture.train_fails("", 2, &expected);
    let expected = ["is out of range", "40 tokens"];
    fixture.fails("generate --model model -p hello", 2, &expected);
}

#[test]
fn unknown_config_fields_are_errors() {
    let fixture = Fixture::new();
    fixture.edit("model/config.json", |config| {
        config["new_field"] = 1.into();
        config["other_field"] = json!({"a": 2});
    });
    let expected = [
        "model/config.json: fields that metal-candle does not know",
        "new_field = 1, other_field = {\"a\":2}",
        "help: ",
    ];
    all_fail(&fixture, &expected);
}

#[test]
fn what_is_no_checkpoint_is_named_before_any_tensor_is_read() {
    let fixture = Fixture::new();
    let said = |fixture: &Fixture, expected: &[&str]| {
        let words = "generate --model model -p x";
        let stderr = fixture.fails(words, 2, expected).stderr;
        assert!(stderr.lines().count() < 6, "{stderr}");
    };
    fixture.edit("model/config.json", |config| {
        config["quantization_config"] = json!({"quant_method": "hqq", "bits": 4});
    });
    said(
        &fixture,
        &[
            "holds a quantized model (",
            "hqq",
            "help: use the model that this was made from",
        ],
    );
    fixture.edit("model/config.json", |config| {
        config["quantization_config"] = json!(null)
    });
    std::fs::remove_file(fixture.path(WEIGHTS)).unwrap();
    fixture.write("model/pytorch_model.bin", "");
    said(&fixture, &["pytorch_model.bin", "save_pretrained"]);
    for file in ["config.json", "tokenizer.json", "pytorch_model.bin"] {
        std::fs::remove_file(fixture.path("model").join(file)).unwrap();
    }
    fixture.write(
        "model/adapter_config.json",
        "{\"base_model_name_or_path\": \"a/b\"}",
    );
    said(
        &fixture,
        &["an adapter of PEFT for the model a/b", "--adapter-path"],
    );
    fixture.write(
        "model/adapter_config.json",
        "{\"fine_tune_type\": \"lora\"}",
    );
    said(&fixture, &["an adapter of mlx-lm", "--adapter-path"]);
}

#[test]
fn a_foreign_index_and_a_rounded_head_are_told() {
    let fixture = Fixture::new();
    let words = "generate --model model -p x -m 2 --json";
    let tokens = |fixture: &Fixture, expected: &str| {
        let ended = fixture.ok(words);
        assert_eq!(
            ended.stderr.matches(expected).count(),
            1,
            "{}",
            ended.stderr
        );
        let answer: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        answer["token_ids"].clone()
    };
    let right = fixture.ok_json(words)["token_ids"].clone();
    let index = json!({"weight_map": {"model.norm.weight": "model-00001-of-00002.safetensors"}});
    fixture.write("model/model.safetensors.index.json", &index.to_string());
    assert_eq!(tokens(&fixture, "model.safetensors is read"), right);
    std::fs::remove_file(fixture.path("model/model.safetensors.index.json")).unwrap();
    fixture.edit_tensors(WEIGHTS, |tensors| {
        let head = tensors["model.embed_tokens.weight"]
            .to_dtype(DType::BF16)
            .unwrap();
        tensors.insert("lm_head.weight".into(), head);
    });
    assert_eq!(
        tokens(&fixture, "lm_head.weight is model.embed_tokens.weight"),
        right
    );
}
