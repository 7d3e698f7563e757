//! Folders with settings and companions of a model, or with something else.

use super::*;

#[test]
fn settings_files_are_objects_of_bounded_size() {
    let checkpoint = Checkpoint::new();
    for (content, expected) in [
        ("{\"eos_token_id\": ", "generation_config.json: EOF"),
        (
            "[]",
            "generation_config.json: the file must be one JSON object, got []",
        ),
        (
            "{\"eos_token_id\": \"x\"}",
            "generation_config.json: eos_token_id must be a token id",
        ),
        (
            "{\"eos_token_id\": 1, \"eos_token_id\": 2}",
            "eos_token_id is given twice: 1 and 2",
        ),
        (
            "{\"eos_token_id\": NaN}",
            "generation_config.json: expected value",
        ),
    ] {
        checkpoint.write("generation_config.json", content);
        checkpoint.refuses(&[expected]);
    }
    checkpoint.write(
        "generation_config.json",
        "\u{FEFF}{\"eos_token_id\": [], \"eos_token_id\": []}",
    );
    checkpoint.edit_config(|config| config["eos_token_id"] = json!([7, 40, 4_000_000_000u64]));
    let model = Model::load(checkpoint.path(), &Device::Cpu).unwrap();
    assert_eq!(
        model.eos_token_ids,
        [7],
        "an empty list is none, ids out of range are none"
    );
    checkpoint.write("config.json", " ".repeat(5 << 20));
    checkpoint.refuses(&["config.json: larger than 4194304 bytes"]);
    fs::remove_file(checkpoint.file("config.json")).unwrap();
    fs::create_dir(checkpoint.file("config.json")).unwrap();
    checkpoint.refuses(&["config.json", "directory"]);
}

#[test]
fn folders_that_hold_something_else_are_recognised() {
    let found = |files: &[(&str, &str)]| {
        let folder = TempDir::new().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        match check_folder(folder.path()) {
            Err(error @ Error::Foreign { .. }) => error.to_string(),
            other => panic!("{files:?}: {other:?}"),
        }
    };
    let peft = r#"{"peft_type": "LORA", "base_model_name_or_path": "Qwen/Qwen3-0.6B"}"#;
    let adapter = [
        ("adapter_config.json", peft),
        ("adapter_model.safetensors", ""),
    ];
    let config = Checkpoint::new();
    let config = fs::read_to_string(config.file("config.json")).unwrap();
    for (files, expected) in [
        (
            &adapter[..],
            "an adapter of PEFT for the model Qwen/Qwen3-0.6B, not a model",
        ),
        (
            &[
                ("adapter_config.json", r#"{"fine_tune_type": "lora"}"#),
                ("adapters.safetensors", ""),
            ],
            "an adapter of mlx-lm",
        ),
        (&[("model_index.json", "{}")], "a diffusers pipeline"),
        (
            &[("modules.json", "[]"), ("config.json", &config)],
            "a sentence-transformers model",
        ),
        (
            &[("model.Q4_K_M.gguf", "")],
            "GGUF only (model.Q4_K_M.gguf)",
        ),
        (
            &[("consolidated.00.pth", ""), ("params.json", "{}")],
            "PyTorch's pickles only (consolidated.00.pth)",
        ),
        (
            &[
                ("config.json", &config),
                ("pytorch_model.bin", ""),
                ("training_args.bin", ""),
            ],
            "(pytorch_model.bin)",
        ),
        (
            &[
                ("config.json", &config),
                ("pytorch_model.bin.index.json", "{}"),
            ],
            "PyTorch's pickles only",
        ),
        (
            &[("config.json", &config), ("flax_model.msgpack", "")],
            "Flax only",
        ),
        (
            &[("config.json", &config), ("tf_model.h5", "")],
            "TensorFlow only",
        ),
        (&[("config.json", &config), ("model.onnx", "")], "ONNX only"),
        (
            &[
                ("config.json", &config),
                ("model-00001-of-00002.safetensors", ""),
            ],
            "but neither model.safetensors nor",
        ),
        (
            &[("snapshots/abc/config.json", "{}"), ("refs/main", "abc")],
            "snapshots/abc below it does",
        ),
        (
            &[("checkpoint-500/config.json", "{}")],
            "checkpoint-500 below it does",
        ),
    ] {
        let message = found(files);
        assert!(message.contains(expected), "no {expected:?} in {message}");
    }
    let empty = TempDir::new().unwrap();
    let error = check_folder(empty.path()).unwrap_err();
    assert!(matches!(error, Error::File(_)), "{error}");
    fs::write(empty.path().join("config.json"), config).unwrap();
    fs::write(empty.path().join("optimizer.bin"), "").unwrap();
    let error = check_folder(empty.path()).unwrap_err();
    assert!(matches!(error, Error::NoCheckpoint { .. }), "{error}");
}

#[test]
fn companions_are_all_but_weights_states_and_data() {
    let checkpoint = Checkpoint::new();
    let companions = [
        "LICENSE",
        "LICENSE.md",
        "NOTICE.txt",
        "USE_POLICY.md",
        "added_tokens.json",
        "chat_template.jinja",
        "chat_template.json",
        "generation_config.json",
        "merges.txt",
        "preprocessor_config.json",
        "qwen.tiktoken",
        "special_tokens_map.json",
        "tekken.json",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
        "vocab.json",
        "vocab.txt",
    ];
    let others = [
        "README.md",
        ".gitattributes",
        "adapter_config.json",
        "events.log",
        "model.gguf",
        "optimizer.pt",
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
        INDEX,
        "rows.jsonl",
        "trainer_state.json",
    ];
    for name in companions.iter().chain(&others) {
        checkpoint.write(name, *name);
    }
    for folder in ["additional_chat_templates", "original"] {
        fs::create_dir(checkpoint.file(folder)).unwrap();
        checkpoint.write(&format!("{folder}/tool_use.jinja"), "x");
    }
    let to = TempDir::new().unwrap();
    copy_companions(checkpoint.path(), to.path()).unwrap();
    let entries = to.path().read_dir().unwrap();
    let mut copied: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    copied.sort();
    let mut expected = companions.to_vec();
    expected.push("additional_chat_templates");
    expected.sort_unstable();
    assert_eq!(copied, expected);
    assert_eq!(
        fs::read_to_string(to.path().join("LICENSE.md")).unwrap(),
        "LICENSE.md"
    );
    assert!(
        to.path()
            .join("additional_chat_templates/tool_use.jinja")
            .is_file()
    );
}

#[test]
fn both_spellings_of_a_dtype_are_written() {
    let checkpoint = Checkpoint::new();
    let (_, mut config) = Config::read(checkpoint.path()).unwrap();
    config["dtype"] = "float32".into();
    config["torch_dtype"] = "float32".into();
    let weight = Tensor::zeros(1, DType::BF16, &Device::Cpu).unwrap();
    save_checkpoint(checkpoint.path(), &config, vec![("x".into(), weight)]).unwrap();
    let (_, config) = Config::read(checkpoint.path()).unwrap();
    assert_eq!(
        (&config["dtype"], &config["torch_dtype"]),
        (&json!("bfloat16"), &json!("bfloat16"))
    );
}
