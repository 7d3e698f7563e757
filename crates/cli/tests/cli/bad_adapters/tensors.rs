//! `adapter_model.safetensors`.

use super::{CONFIG, GENERATE, TENSORS, all_fail, trained};
use crate::fixture::Fixture;
use candle_core::{DType, Device, Tensor};
use serde_json::json;

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
    let ended = all_fail(&fixture, &[name, "holds NaN", "learning rate"]);
    assert!(!ended.stderr.contains("another model"), "{}", ended.stderr);
}

/// Each kind of mismatch has its own advice.
#[test]
fn every_mismatch_has_its_own_advice() {
    let prefix = "base_model.model.model.layers.0.self_attn.q_proj";
    let cases = [
        (
            "lora_magnitude_vector",
            "adapter_config.json is not of DoRA",
            "its method differs",
        ),
        (
            "lora_B.bias",
            "a bias on B is not built",
            "merge_and_unload",
        ),
        (
            "lora_A.other.name.weight",
            "not a tensor of a LoRA adapter",
            "merge",
        ),
        (
            "lora_A.other.weight",
            "the file holds it twice",
            "one of them alone",
        ),
    ];
    for (name, what, advice) in cases {
        check_with_tensor(&format!("{prefix}.{name}"), what, advice);
    }
    let model = "base_model.model.model";
    let cases = [
        (
            format!("{model}.embed_tokens.lora_embedding_A"),
            "does not target this layer",
            "target_modules differ",
        ),
        (
            "base_model.model.lm_head.lora_A.weight".into(),
            "does not target this layer",
            "target_modules differ",
        ),
        (
            format!("{model}.language_model.layers.0.x.lora_A.weight"),
            "multi-modal",
            "text models",
        ),
        (
            "base_model.model.layers.0.self_attn.q_proj.lora_A.weight".into(),
            "without output head",
            "'model.'",
        ),
        (
            "model.layers.0.self_attn.q_proj.lora_A.weight".into(),
            "begin with base_model.model.",
            "save_pretrained",
        ),
        (
            "_orig_mod.base_model.model.x.lora_A.weight".into(),
            "wrapped",
            "unwrap the model",
        ),
        (
            "model.layers.0.self_attn.q_proj.lora_a".into(),
            "a name of mlx-lm",
            "fetch both",
        ),
        (
            format!("{model}.layers.7.self_attn.q_proj.lora_A.weight"),
            "no such layer",
            "base_model_name_or_path",
        ),
        (
            "base_model.model.score.weight".into(),
            "not a tensor of a LoRA adapter",
            "merge",
        ),
    ];
    for (key, what, advice) in cases {
        check_with_tensor(&key, what, advice);
    }
}

/// One tensor more than the adapter has.
fn check_with_tensor(key: &str, what: &str, advice: &str) {
    let fixture = trained();
    fixture.edit_tensors(TENSORS, |tensors| {
        let tensor = Tensor::zeros((4, 32), DType::F32, &Device::Cpu).unwrap();
        tensors.insert(key.into(), tensor);
    });
    fixture.fails(
        GENERATE,
        2,
        &[&format!("unexpected {key} [4, 32]"), what, advice],
    );
}

#[test]
fn missing_misranked_and_other_dtypes() {
    let name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
    let zeros = |shape: (usize, usize), dtype| Tensor::zeros(shape, dtype, &Device::Cpu).unwrap();
    let cases = [
        (None, "missing", "not complete"),
        (
            Some(zeros((2, 32), DType::F32)),
            "rank 2, adapter_config.json gives 4",
            "rank_pattern",
        ),
        (Some(zeros((0, 32), DType::F32)), "rank 0", "DeepSpeed"),
        (Some(zeros((4, 32), DType::F64)), "dtype F64", "convert"),
        (Some(zeros((4, 32), DType::I64)), "dtype I64", "convert"),
        (Some(zeros((4, 32), DType::U8)), "dtype U8", "convert"),
        (Some(zeros((0, 0), DType::F32)), "got [0, 0]", "DeepSpeed"),
        (
            Some(zeros((4, 31), DType::F32)),
            "got [4, 31]",
            "another model",
        ),
    ];
    for (tensor, what, advice) in cases {
        let fixture = trained();
        fixture.edit_tensors(TENSORS, |tensors| {
            tensors.remove(name);
            tensors.extend(tensor.map(|tensor| (name.to_string(), tensor)));
        });
        fixture.fails(GENERATE, 2, &[name, what, advice]);
    }
}

#[test]
fn a_long_list_of_problems_is_cut() {
    let fixture = trained();
    fixture.edit_tensors(TENSORS, |tensors| {
        let tensor = Tensor::zeros((1, 1), DType::F32, &Device::Cpu).unwrap();
        tensors.clear();
        tensors.extend((0..500).map(|i| (format!("t{i}{}", "x".repeat(5000)), tensor.clone())));
    });
    let ended = fixture.fails(GENERATE, 2, &["and 508 more"]);
    assert!(ended.stderr.len() < 10_000, "{}", ended.stderr.len());
}

/// PEFT writes the adapter of a head that is the embedding twice: another one would be lost.
#[test]
fn ends_that_are_one_matrix_have_one_adapter() {
    let fixture = Fixture::new();
    fixture.train("--iters 2 --targets q_proj,embed_tokens");
    fixture.edit(CONFIG, |config| {
        config["ensure_weight_tying"] = json!(true);
    });
    let put = |factor: f64| {
        fixture.edit_tensors(TENSORS, |tensors| {
            for (head, embedding) in [
                ("lora_A", "lora_embedding_B"),
                ("lora_B", "lora_embedding_A"),
            ] {
                let of = format!("base_model.model.model.embed_tokens.{embedding}");
                let across = (tensors[&of].t().unwrap().contiguous().unwrap() * factor).unwrap();
                tensors.insert(format!("base_model.model.lm_head.{head}.weight"), across);
            }
        });
    };
    put(1.0);
    fixture.ok(&format!("{GENERATE} -m 1"));
    put(1.5);
    let expected = ["lm_head.lora_A.weight: not the embedding's", "two adapters"];
    fixture.fails(GENERATE, 2, &expected);
}

/// PEFT's `save_embedding_layers`, and `modules_to_save`.
#[test]
fn embeddings_in_the_file_must_be_the_models_or_named() {
    let fixture = trained();
    let plain = fixture.ok_json(&format!("{GENERATE} --json -m 4"))["token_ids"].clone();
    let embedding = fixture.tensors("model/model.safetensors")["model.embed_tokens.weight"].clone();
    let put = |name: &str, tensor: &Tensor| {
        fixture.edit_tensors(TENSORS, |tensors| {
            tensors.insert(format!("base_model.model.{name}.weight"), tensor.clone());
        });
    };
    put("model.embed_tokens", &embedding);
    // The head is the embedding; a copy may be rounded.
    put("lm_head", &embedding.to_dtype(DType::BF16).unwrap());
    let ended = fixture.ok(&format!("{GENERATE} --json -m 4"));
    let got: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(got["token_ids"], plain);
    assert!(
        ended.stderr.contains("lm_head.weight repeats"),
        "{}",
        ended.stderr
    );
    let other = (&embedding * -1.0).unwrap();
    put("lm_head", &other);
    all_fail(
        &fixture,
        &[
            "lm_head.weight: not the weight of this model, and modules_to_save does not name it",
            "merge_and_unload",
        ],
    );
    fixture.edit(CONFIG, |config| {
        config["modules_to_save"] = json!(["lm_head"])
    });
    let got = fixture.ok_json(&format!("{GENERATE} --json -m 4"));
    assert_ne!(got["token_ids"], plain);
    put("lm_head", &embedding.narrow(0, 0, 300).unwrap());
    fixture.fails(GENERATE, 2, &["lm_head.weight: expected [320, 32], got"]);
    fixture.edit_tensors(TENSORS, |tensors| {
        tensors.remove("base_model.model.lm_head.weight");
    });
    fixture.fails(GENERATE, 2, &["missing base_model.model.lm_head.weight"]);
}
