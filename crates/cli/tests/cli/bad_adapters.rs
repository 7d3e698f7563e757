use crate::fixture::{Ended, Fixture, config, write_weights};
use candle_core::{DType, Device, Tensor};
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
            "does not say use_dora",
            "use_dora differs",
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
            "mlx-lm",
            "fuse it there",
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

/// Ranks are compared with the tensors before anything is allocated.
#[test]
fn hostile_numbers_in_the_configuration() {
    let cases = [
        ("r", json!(100_000_000), "rank must be from 1 to 65536"),
        (
            "r",
            json!(60_000),
            "rank 4, adapter_config.json gives 60000",
        ),
        ("r", json!(0), "rank must be"),
        ("r", json!(-1), "r: invalid value"),
        ("r", json!(8.5), "r: invalid type"),
        ("r", json!("8"), "r: invalid type"),
        ("r", json!(null), "r: invalid type"),
        (
            "rank_pattern",
            json!({"q_proj": 100_000_000}),
            "rank must be",
        ),
        (
            "rank_pattern",
            json!({"q_proj": "x"}),
            "rank_pattern: q_proj: invalid type",
        ),
        ("rank_pattern", json!([1]), "rank_pattern: invalid type"),
        (
            "rank_pattern",
            json!({"(": 1}),
            "rank_pattern: ( cannot be used as a regular expression",
        ),
        ("alpha_pattern", json!({"q_proj": 1e308}), "alpha must be"),
        ("lora_alpha", json!(1e308), "alpha must be"),
        ("lora_alpha", json!(1e-308), "alpha must be"),
        ("lora_alpha", json!("16"), "lora_alpha: invalid type"),
        ("lora_dropout", json!(1.0), "dropout must be in [0, 1)"),
        ("lora_dropout", json!(-1), "dropout must be in [0, 1)"),
        ("use_rslora", json!("yes"), "use_rslora: invalid type"),
        (
            "target_modules",
            json!(7),
            "target_modules: a text or a list of texts",
        ),
        (
            "target_modules",
            json!([7]),
            "target_modules: a text or a list of texts",
        ),
        (
            "target_modules",
            json!([]),
            "target_modules [] matches no layer",
        ),
        (
            "target_modules",
            json!(["nothing"]),
            "target_modules [\"nothing\"] matches no layer",
        ),
        (
            "target_modules",
            json!("(?<=q"),
            "target_modules: (?<=q cannot be used",
        ),
        (
            "target_modules",
            json!("(?!z)(\\w+.?\\w+.?)+x(?<!z)y"),
            "target_modules:",
        ),
        ("exclude_modules", json!(".*"), "matches no layer"),
        (
            "exclude_modules",
            json!("["),
            "exclude_modules: [ cannot be used",
        ),
        (
            "layers_to_transform",
            json!([-1]),
            "layers_to_transform: a whole number or a list",
        ),
        ("layers_to_transform", json!(9), "matches no layer"),
        (
            "base_model_name_or_path",
            json!({"a": 1}),
            "base_model_name_or_path: invalid type",
        ),
        ("modules_to_save", json!(7), "modules_to_save = 7"),
    ];
    let fixture = trained();
    let config = fixture.json(CONFIG);
    for (field, value, expected) in cases {
        fixture.edit(CONFIG, |config| config[field] = value.clone());
        fixture.fails(GENERATE, 2, &["adapters/adapter_", expected]);
        fixture.write(CONFIG, &config.to_string());
    }
    for text in ["[]", "{\"r\": NaN}", "{", "7"] {
        fixture.write(CONFIG, text);
        fixture.fails(GENERATE, 2, &[CONFIG, "one JSON object"]);
    }
}

/// Fields that change the mathematics are refused, each with its own help.
#[test]
fn refused_fields_have_their_own_advice() {
    let cases = [
        ("peft_type", json!("LOHA"), "only LORA", "LoraConfig"),
        ("peft_type", json!(null), "only LORA", "LoraConfig"),
        ("task_type", json!("SEQ_CLS"), "trained head", "CAUSAL_LM"),
        ("bias", json!("all"), "trained biases", "bias='none'"),
        (
            "init_lora_weights",
            json!("pissa"),
            "changes the base weight",
            "path_initial_model",
        ),
        (
            "init_lora_weights",
            json!("loftq"),
            "changes the base weight",
            "LoftQ saved",
        ),
        (
            "modules_to_save",
            json!(["norm"]),
            "the output head are trained whole",
            "lm_head and embed_tokens alone",
        ),
        (
            "trainable_token_indices",
            json!([1]),
            "token embeddings",
            "merge_and_unload",
        ),
        (
            "alora_invocation_tokens",
            json!([1, 2]),
            "activated LoRA",
            "vLLM",
        ),
        (
            "arrow_config",
            json!({"top_k": 2}),
            "routing",
            "one at a time",
        ),
        ("layer_replication", json!([[0, 1]]), "replicated", "merge"),
        (
            "target_parameters",
            json!(["x"]),
            "fused expert",
            "target_modules",
        ),
        (
            "megatron_config",
            json!({"x": 1}),
            "Megatron",
            "Hugging Face's layout",
        ),
        ("use_qalora", json!(true), "QALoRA", "without use_qalora"),
        (
            "kasa_config",
            json!({"beta": 1}),
            "KaSA",
            "merge_and_unload",
        ),
        (
            "use_bdlora",
            json!({"nblocks": 2}),
            "block-diagonal",
            "merge_and_unload",
        ),
        (
            "layers_pattern",
            json!("h"),
            "found as 'layers'",
            "by their names",
        ),
    ];
    let fixture = trained();
    let config = fixture.json(CONFIG);
    for (field, value, why, advice) in cases {
        fixture.edit(CONFIG, |config| config[field] = value.clone());
        fixture.fails(GENERATE, 2, &[&format!("{field} = "), why, advice]);
        fixture.write(CONFIG, &config.to_string());
    }
    let long: Vec<String> = (0..100_000).map(|i| i.to_string()).collect();
    fixture.edit(CONFIG, |config| config["unknown"] = json!(long));
    let ended = fixture.fails(GENERATE, 2, &["unknown = "]);
    assert!(ended.stderr.len() < 5000);
}

#[test]
fn ends_that_are_trained_as_one_are_refused() {
    let fixture = trained();
    fixture.edit(CONFIG, |config| {
        config["target_modules"] = json!(["q_proj", "embed_tokens"]);
        config["ensure_weight_tying"] = json!(true);
    });
    let expected = "model.embed_tokens: ensure_weight_tying is not built";
    fixture.fails(GENERATE, 2, &[expected, "merge_and_unload"]);
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
