//! Checkpoint folders as they are in the world, and as they must not be.

use super::{CacheForm, Config, Decoder, Error, KvCache, Model, Result};
use super::{check_folder, copy_companions, save_checkpoint};
use crate::layout::{Arrangement, Layout, Span};
use crate::lora::Context;
use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const EMBEDDING: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";

/// A tiny checkpoint in a folder of its own.
struct Checkpoint {
    folder: TempDir,
}

impl Checkpoint {
    fn new() -> Self {
        let checkpoint = Self {
            folder: TempDir::new().unwrap(),
        };
        let config = json!({
            "model_type": "llama", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
            "num_attention_heads": 2, "rms_norm_eps": 1e-6, "vocab_size": 40, "max_position_embeddings": 64,
            "tie_word_embeddings": true, "initializer_range": 0.3,
        });
        let model = Model::random(config.clone(), 5, &Device::Cpu).unwrap();
        let weights = model.decoder.tensors();
        save_checkpoint(checkpoint.path(), &config, weights).unwrap();
        checkpoint
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.file(name), content).unwrap();
    }

    fn tensors(&self) -> HashMap<String, Tensor> {
        candle_core::safetensors::load(self.file(SINGLE), &Device::Cpu).unwrap()
    }

    fn edit_tensors(&self, change: impl FnOnce(&mut HashMap<String, Tensor>)) {
        let mut tensors = self.tensors();
        change(&mut tensors);
        candle_core::safetensors::save(&tensors, self.file(SINGLE)).unwrap();
    }

    fn edit_config(&self, change: impl FnOnce(&mut Value)) {
        let text = fs::read(self.file("config.json")).unwrap();
        let mut config = serde_json::from_slice(&text).unwrap();
        change(&mut config);
        self.write("config.json", config.to_string());
    }

    /// Moves the tensors into a shard, which an index names as `shard`.
    fn shard(&self, file: &str, shard: &str) {
        let names = self.tensors().into_keys();
        let map: Value = names
            .map(|name| (name, Value::from(shard)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        fs::rename(self.file(SINGLE), self.file(file)).unwrap();
        self.write(INDEX, json!({"weight_map": map}).to_string());
    }

    #[track_caller]
    fn logits(&self) -> Vec<f32> {
        let model = Model::load(self.path(), &Device::Cpu).unwrap();
        let (layout, context) = (Layout::new(Arrangement::Padded, &[5]), Context::default());
        let logits = model.decoder.forward(&[3, 1, 4, 1, 5], &layout, &context);
        let logits = logits.unwrap();
        logits.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[track_caller]
    fn refuses(&self, expected: &[&str]) -> String {
        let message = match Model::load(self.path(), &Device::Cpu) {
            Ok(_) => panic!("accepted"),
            Err(error) => error.to_string(),
        };
        for text in expected {
            assert!(message.contains(text), "no {text:?} in {message}");
        }
        message
    }
}

#[test]
fn a_single_file_wins_over_any_index() {
    let checkpoint = Checkpoint::new();
    let logits = checkpoint.logits();
    let bytes = fs::read(checkpoint.file(SINGLE)).unwrap();
    checkpoint.shard("old.safetensors", "gone.safetensors");
    checkpoint.refuses(&["missing shards: gone.safetensors"]);
    checkpoint.write(SINGLE, &bytes);
    assert_eq!(checkpoint.logits(), logits, "shards are gone");
    checkpoint.edit_tensors(|tensors| {
        for tensor in tensors.values_mut() {
            *tensor = (&*tensor * 0.5).unwrap();
        }
    });
    fs::rename(checkpoint.file(SINGLE), checkpoint.file("gone.safetensors")).unwrap();
    checkpoint.write(SINGLE, &bytes);
    assert_eq!(
        checkpoint.logits(),
        logits,
        "shards of another model are there"
    );
    checkpoint.write(INDEX, "damaged");
    assert_eq!(checkpoint.logits(), logits, "an index of no use");
}

#[test]
fn an_index_stays_inside_its_folder() {
    let outside = TempDir::new().unwrap();
    for name in [
        "../x.safetensors",
        "/etc/passwd",
        "..",
        ".",
        "",
        "a/../../x",
        "sub/..",
    ] {
        let checkpoint = Checkpoint::new();
        checkpoint.shard("x.safetensors", name);
        checkpoint.refuses(&["names a shard outside of its folder", name]);
    }
    let checkpoint = Checkpoint::new();
    let logits = checkpoint.logits();
    checkpoint.shard("x.safetensors", "linked.safetensors");
    let blob = outside.path().join("blob");
    fs::rename(checkpoint.file("x.safetensors"), &blob).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(&blob, checkpoint.file("linked.safetensors")).unwrap();
    #[cfg(unix)]
    assert_eq!(
        checkpoint.logits(),
        logits,
        "links are how the hub's cache is made"
    );
    for map in [json!({}), json!([1]), json!({"a": 1}), json!(null)] {
        checkpoint.write(INDEX, json!({"weight_map": map}).to_string());
        checkpoint.refuses(&["weight_map must be"]);
    }
}

#[test]
fn a_tensor_in_two_shards_is_told() {
    let checkpoint = Checkpoint::new();
    checkpoint.shard("a.safetensors", "a.safetensors");
    fs::copy(
        checkpoint.file("a.safetensors"),
        checkpoint.file("b.safetensors"),
    )
    .unwrap();
    let map = json!({"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}});
    checkpoint.write(INDEX, map.to_string());
    checkpoint.refuses(&["model.norm.weight is in two files"]);
}

/// transformers ties them whatever the head's dtype.
#[test]
fn a_tied_head_may_be_stored_in_any_form() {
    let checkpoint = Checkpoint::new();
    let (logits, embedding) = (checkpoint.logits(), checkpoint.tensors()[EMBEDDING].clone());
    let store =
        |head: Tensor| checkpoint.edit_tensors(|tensors| drop(tensors.insert(HEAD.into(), head)));
    store(embedding.clone());
    assert_eq!(checkpoint.logits(), logits, "the same");
    for dtype in [DType::BF16, DType::F16] {
        store(embedding.to_dtype(dtype).unwrap());
        assert_eq!(checkpoint.logits(), logits, "rounded to {dtype:?}");
    }
    // bfloat16 by cutting digits off.
    let values = embedding.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let cut = values
        .iter()
        .map(|x| half::bf16::from_bits((x.to_bits() >> 16) as u16))
        .collect();
    store(Tensor::from_vec(cut, embedding.shape(), &Device::Cpu).unwrap());
    assert_eq!(checkpoint.logits(), logits, "cut");

    store((&embedding * 1.1).unwrap().to_dtype(DType::BF16).unwrap());
    checkpoint.refuses(&["lm_head.weight differs from model.embed_tokens.weight"]);
    store((&embedding * 1.000_001).unwrap());
    checkpoint.refuses(&["lm_head.weight differs from model.embed_tokens.weight"]);
    store(Tensor::zeros((40, 15), DType::F32, &Device::Cpu).unwrap());
    checkpoint.refuses(&["lm_head.weight: expected [40, 16], got [40, 15]"]);

    checkpoint.edit_tensors(|tensors| {
        tensors.remove(EMBEDDING);
        tensors.insert(HEAD.into(), embedding.clone());
    });
    assert_eq!(checkpoint.logits(), logits, "the head alone");
}

#[test]
fn sizes_are_compared_with_the_files_first() {
    let checkpoint = Checkpoint::new();
    for (name, value) in [
        ("num_hidden_layers", 1_000_000_000u64),
        ("num_hidden_layers", 1_000_000),
        ("vocab_size", 2_000_000_000),
        ("hidden_size", 2_000_000_000),
        ("intermediate_size", 2_000_000_000),
    ] {
        let checkpoint = Checkpoint::new();
        checkpoint.edit_config(|config| {
            config["head_dim"] = 8.into();
            config[name] = value.into();
        });
        let message = checkpoint.refuses(&["does not match its configuration"]);
        assert!(message.lines().count() < 25, "{message}");
    }
    checkpoint.edit_config(|config| config["num_hidden_layers"] = 1_000_000.into());
    checkpoint.refuses(&["num_hidden_layers is 1000000, but the files hold 2 blocks"]);
}

#[test]
fn twenty_problems_are_listed_and_the_others_counted() {
    let checkpoint = Checkpoint::new();
    checkpoint.edit_tensors(|tensors| {
        for i in 0..70 {
            let stray = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
            tensors.insert(format!("stray.{i}\u{1b}[31m"), stray);
        }
    });
    let message = checkpoint.refuses(&["unexpected stray.0", "and 50 more"]);
    assert_eq!(message.lines().count(), 22, "{message}");
    assert!(!message.contains('\u{1b}'), "{message:?}");
}

#[test]
fn tensors_of_other_tools_are_recognised_by_their_names() {
    for (name, expected) in [
        (
            "mlp.up_proj.scales",
            "a quantized model (it has a tensor mlp.up_proj.scales)",
        ),
        (
            "x.weight.absmax",
            "a quantized model (it has a tensor x.weight.absmax)",
        ),
    ] {
        let checkpoint = Checkpoint::new();
        checkpoint.edit_tensors(|tensors| {
            let scales = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
            tensors.insert(name.into(), scales);
        });
        checkpoint.refuses(&[expected]);
    }
    let checkpoint = Checkpoint::new();
    checkpoint.edit_tensors(|tensors| {
        let renamed = tensors
            .drain()
            .map(|(name, tensor)| (format!("base_model.{name}"), tensor));
        *tensors = renamed.collect::<HashMap<_, _>>();
    });
    checkpoint.refuses(&["the first is base_model.model.embed_tokens.weight", "more"]);
}

#[test]
fn dtypes_are_those_of_floats() {
    let checkpoint = Checkpoint::new();
    let logits = checkpoint.logits();
    checkpoint.edit_tensors(|tensors| {
        let norm = tensors["model.norm.weight"].to_dtype(DType::BF16).unwrap();
        tensors.insert("model.norm.weight".into(), norm);
    });
    assert_eq!(checkpoint.logits(), logits, "ones are exact in every dtype");
    for (dtype, name) in [
        (DType::F64, "F64"),
        (DType::U32, "U32"),
        (DType::I64, "I64"),
    ] {
        checkpoint.edit_tensors(|tensors| {
            let norm = tensors["model.norm.weight"].to_dtype(dtype).unwrap();
            tensors.insert("model.norm.weight".into(), norm);
        });
        checkpoint.refuses(&[&format!(
            "model.norm.weight: dtype {name}, expected F32, F16 or BF16"
        )]);
    }
}

#[test]
fn values_that_are_not_finite_are_named() {
    for (dtype, value) in [
        (DType::F32, f32::NAN),
        (DType::F16, f32::INFINITY),
        (DType::BF16, f32::NEG_INFINITY),
    ] {
        let checkpoint = Checkpoint::new();
        checkpoint.edit_tensors(|tensors| {
            let mut values = [1f32; 16];
            values[15] = value;
            let norm = Tensor::new(&values, &Device::Cpu)
                .unwrap()
                .to_dtype(dtype)
                .unwrap();
            tensors.insert("model.norm.weight".into(), norm);
        });
        checkpoint.refuses(&["model.norm.weight: holds NaN or infinite values"]);
    }
}

#[test]
fn headers_that_lie_are_damaged_files() {
    let header = |text: &str, data: usize| {
        let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
        bytes.extend(text.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    };
    let one = |shape: &str, end: &str| {
        format!(r#"{{"x":{{"dtype":"F32","shape":{shape},"data_offsets":[0,{end}]}}}}"#)
    };
    let checkpoint = Checkpoint::new();
    for bytes in [
        u64::MAX.to_le_bytes().to_vec(),
        99_000_000u64.to_le_bytes().to_vec(),
        header("not JSON", 0),
        header(&one("[4]", "4"), 4),
        header(&one("[4]", "16"), 15),
        header(&one("[4]", "16"), 17),
        header(&one("[4611686018427387904,4]", "16"), 16),
        header(
            r#"{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"y":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}"#,
            6,
        ),
        header(
            r#"{"x":{"dtype":"Q4","shape":[1],"data_offsets":[0,4]}}"#,
            4,
        ),
    ] {
        checkpoint.write(SINGLE, bytes);
        checkpoint.refuses(&["model.safetensors: damaged or truncated"]);
    }
    fs::remove_file(checkpoint.file(SINGLE)).unwrap();
    fs::create_dir(checkpoint.file(SINGLE)).unwrap();
    checkpoint.refuses(&["directory"]);
}

#[test]
fn a_file_that_changes_while_it_is_read_is_an_error() {
    let checkpoint = Checkpoint::new();
    let open = super::Checkpoint::open(checkpoint.path()).unwrap();
    let file = fs::OpenOptions::new()
        .write(true)
        .open(checkpoint.file(SINGLE))
        .unwrap();
    file.set_len(2000).unwrap();
    for error in [
        open.tensor("model.norm.weight", &Device::Cpu).map(|_| ()),
        open.check_unchanged(),
    ] {
        let message = error.unwrap_err().to_string();
        assert!(
            message.contains("was changed while it was read"),
            "{message}"
        );
    }
}

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

#[test]
fn a_sequence_outgrows_a_cache_whose_keys_have_other_angles() {
    let config = json!({
        "model_type": "phi3", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1,
        "num_attention_heads": 4, "rms_norm_eps": 1e-6, "vocab_size": 40, "max_position_embeddings": 64,
        "rope_scaling": {
            "type": "su", "original_max_position_embeddings": 5,
            "short_factor": [1.0, 1.1], "long_factor": [1.0, 8.0],
        },
    });
    let decoder = Model::random(config, 5, &Device::Cpu).unwrap().decoder;
    let mut cache = decoder.cache(CacheForm::Contiguous);
    decode(&decoder, &mut cache, 5).unwrap();
    let error = decode(&decoder, &mut cache, 1).unwrap_err();
    assert!(
        matches!(error, Error::Outgrown { tokens: 6, held: 5 }),
        "{error}"
    );
    decoder.expect(&mut cache, 6).unwrap();
    assert!(cache.is_empty());
    decode(&decoder, &mut cache, 1).unwrap();
    decode(&decoder, &mut cache, 5).unwrap();
    assert_eq!(cache.len(), 6);
}

/// Passes `n` new tokens of a sequence.
fn decode(decoder: &Decoder, cache: &mut KvCache, n: usize) -> Result<Tensor> {
    let span = Span {
        sequence: 0,
        start: cache.len(),
        len: n,
    };
    let layout = Layout::ragged(vec![span]);
    decoder.decode(
        &vec![1; n],
        &layout,
        &Context::default(),
        &mut [cache],
        &[0],
    )
}
