//! Models in GGUF files, laid out as llama.cpp's converter does (`scripts/golden/make_gguf.py`), compute what
//! transformers does, and so do the files that are written here.
#![allow(clippy::unwrap_used)]

mod support;

use candle_core::{DType, Device, Tensor};
use metal_candle::data::Tokenizer;
use metal_candle::gguf::{GgufFile, Writer};
use metal_candle::models::{Config, FileType, Model, save_checkpoint};
use serde_json::{Value, json};
use std::path::Path;
use support::{golden, ids, max_difference, tensors};

const ARCHITECTURES: [&str; 10] = [
    "gemma2", "gemma3", "glm4", "granite", "llama", "olmo2", "phi3", "qwen2", "qwen3", "smollm3",
];

fn model(architecture: &str) -> Model {
    let file = golden("gguf").join(format!("{architecture}.gguf"));
    Model::load(&file, &Device::Cpu).unwrap()
}

fn logits(model: &Model, architecture: &str) -> (Tensor, Tensor) {
    let want = tensors(&golden("gguf").join(format!("{architecture}.safetensors")));
    let logits = support::models::forward(model, &ids(&want["ids"]), 1);
    (logits.squeeze(0).unwrap(), want["logits"].clone())
}

#[test]
fn logits_are_those_of_transformers() {
    for architecture in ARCHITECTURES {
        let (got, want) = logits(&model(architecture), architecture);
        let difference = max_difference(&got, &want);
        assert!(difference < 1e-4, "{architecture}: {difference}");
    }
}

fn written(model: &Model, file_type: &str, path: &Path) -> Model {
    let mut writer = Writer::default();
    let file_type: FileType = file_type.parse().unwrap();
    model.add_to_gguf(&mut writer, file_type).unwrap();
    writer.write(path).unwrap();
    Model::load(path, &Device::Cpu).unwrap()
}

#[test]
fn what_is_written_is_read_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    for architecture in ARCHITECTURES {
        let model = model(architecture);
        let path = folder.path().join(format!("{architecture}.gguf"));
        let read = written(&model, "f16", &path);
        let (before, after) = (model.decoder.tensors(), read.decoder.tensors());
        assert_eq!(before.len(), after.len());
        for ((name, before), (other, after)) in before.iter().zip(&after) {
            assert_eq!((name, before.dims()), (other, after.dims()));
            // The 1 of Gemma's norms is taken away and added again.
            assert!(
                max_difference(before, after) < 2e-7,
                "{architecture} {name}"
            );
        }
        let (got, want) = logits(&read, architecture);
        let difference = max_difference(&got, &want);
        assert!(difference < 1e-4, "{architecture}: {difference}");
    }
}

#[test]
fn packed_models_compute_what_their_dense_ones_do() {
    let folder = tempfile::tempdir().unwrap();
    for (architecture, file_type, smallest) in [
        ("llama", "q8_0", 1e-4),
        ("qwen2", "q4_1", 1e-2),
        ("gemma3", "q5_0", 1e-3),
        // Rows too short for blocks of 256: blocks of 32, as llama.cpp has it.
        ("llama", "q4_k_m", 1e-3),
    ] {
        let path = folder
            .path()
            .join(format!("{architecture}-{file_type}.gguf"));
        let packed = written(&model(architecture), file_type, &path);
        assert!(packed.decoder.packed().count() > 14);
        let mut dense = Model::load(&path, &Device::Cpu).unwrap();
        dense.unpack(DType::F32).unwrap();
        assert_eq!(dense.decoder.packed().count(), 0);
        let (got, plain) = logits(&packed, architecture);
        let (want, _) = logits(&dense, architecture);
        let difference = max_difference(&got, &want);
        assert!(
            difference < 1e-4,
            "{architecture} {file_type}: {difference}"
        );
        let rounded = max_difference(&got, &plain);
        assert!(rounded > smallest, "{architecture} {file_type}: {rounded}");
    }
}

#[test]
fn checkpoints_of_hugging_face_become_files_that_compute_alike() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "llama3",
        "mistral",
        "phi4-mini",
        "qwen2",
        "qwen3",
        "granite",
        "olmo2",
        "glm4",
    ] {
        let want = tensors(&golden(name).join("golden.safetensors"));
        let path = folder.path().join(format!("{name}.gguf"));
        let model = support::model(name);
        let read = written(&model, "f32", &path);
        model.check_gguf(&path).unwrap();
        let input = &want["input_ids"];
        let got = support::models::forward(&read, &ids(input), input.dims()[0]);
        let difference = max_difference(&got, &want["logits"]);
        assert!(difference < 2e-4, "{name}: {difference}");
    }
}

/// The model of `smollm3.gguf` as a folder whose configuration has these fields too.
fn smollm3_with(fields: Value, folder: &Path) -> Model {
    let model = model("smollm3");
    let mut config = model.raw_config.clone();
    let object = config.as_object_mut().unwrap();
    object.extend(fields.as_object().unwrap().clone());
    save_checkpoint(folder, &config, model.decoder.tensors()).unwrap();
    Model::load(folder, &Device::Cpu).unwrap()
}

#[test]
fn lists_of_blocks_that_say_what_llama_cpp_takes_as_given_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("smollm3.gguf");
    let checked = |fields| {
        let model = smollm3_with(fields, folder.path());
        written(&model, "f32", &path);
        model.check_gguf(&path)
    };
    let (full, sliding) = ("full_attention", "sliding_attention");
    for fields in [
        // Fields of HuggingFaceTB/SmolLM3-3B.
        json!({
            "layer_types": vec![full; 4], "no_rope_layers": [1, 1, 1, 0], "no_rope_layer_interval": 4,
            "max_window_layers": 28, "sliding_window": null, "use_sliding_window": false,
        }),
        json!({"layer_types": vec![full; 4], "sliding_window": 16, "use_sliding_window": true}),
        // A window as wide as the longest sequence.
        json!({
            "layer_types": [full, full, full, sliding], "sliding_window": 128, "use_sliding_window": true,
        }),
    ] {
        checked(fields).unwrap();
    }
    let refused = |fields| checked(fields).unwrap_err().to_string();
    let error = refused(json!({"no_rope_layers": [1, 0, 1, 0]}));
    assert!(error.contains("unrotated"), "{error}");
    let error = refused(json!({"sliding_window": 16, "use_sliding_window": true}));
    assert!(error.contains("windows: Some("), "{error}");
}

#[test]
fn a_setting_that_no_file_can_say_is_told() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["gemma2", "gemma3"] {
        let model = support::model(name);
        let path = folder.path().join(format!("{name}.gguf"));
        written(&model, "f32", &path);
        let error = model.check_gguf(&path).unwrap_err().to_string();
        assert!(
            error.contains("scale") && error.contains("llama.cpp"),
            "{error}"
        );
    }
    let model = support::model("olmo3");
    let mut writer = Writer::default();
    let error = model
        .add_to_gguf(&mut writer, "f32".parse().unwrap())
        .unwrap_err()
        .to_string();
    assert!(error.contains("olmo3"), "{error}");
}

#[test]
fn tokenizers_are_written_and_read_as_they_were() {
    let texts = [
        "Hello, world! It's 2024: 12345 apples.",
        "  two blanks\n\n\tand a tab  ",
        "naïve café — 東京 🙂 e\u{301}",
        "fn main() { println!(\"{}\", 1_000); } // don't",
        "<|im_start|>user\nHi<|im_end|>\n<s>[INST] x [/INST]</s><bos>",
        "",
    ];
    let folder = tempfile::tempdir().unwrap();
    for name in ["qwen2.5", "qwen3", "llama3", "llama3.1"] {
        let tokenizer = Tokenizer::from_folder(&golden("chat").join(name)).unwrap();
        let path = folder.path().join(format!("{name}.gguf"));
        let mut writer = Writer::default();
        tokenizer
            .add_to_gguf(&mut writer, tokenizer.n_ids() + 2)
            .unwrap();
        writer.write(&path).unwrap();
        let read = Tokenizer::from_folder(&path).unwrap();
        for text in texts {
            assert_eq!(
                read.encode(text).unwrap(),
                tokenizer.encode(text).unwrap(),
                "{name}: {text:?}"
            );
            let ids = tokenizer.encode_raw(text).unwrap();
            assert_eq!(read.encode_raw(text).unwrap(), ids, "{name}: {text:?}");
            assert_eq!(
                read.decode(&ids).unwrap(),
                tokenizer.decode(&ids).unwrap(),
                "{name}: {text:?}"
            );
        }
        assert_eq!(read.eos_token(), tokenizer.eos_token(), "{name}");
        assert_eq!(read.bos_token(), tokenizer.bos_token(), "{name}");
        assert_eq!(
            read.has_chat_template(),
            tokenizer.has_chat_template(),
            "{name}"
        );
    }
}

#[test]
fn pieces_with_scores_are_those_of_transformers() {
    let cases = std::fs::read_to_string(golden("gguf/tokenizers.json")).unwrap();
    let cases: Value = serde_json::from_str(&cases).unwrap();
    let files = cases.as_object().unwrap();
    assert_eq!(files.len(), 2);
    for (name, texts) in files {
        let file = golden("gguf").join(format!("{name}.gguf"));
        let tokenizer = Tokenizer::from_folder(&file).unwrap();
        for case in texts.as_array().unwrap() {
            let text = case["text"].as_str().unwrap();
            let want: Vec<u32> = serde_json::from_value(case["ids"].clone()).unwrap();
            assert_eq!(
                tokenizer.encode_raw(text).unwrap(),
                want,
                "{name}: {text:?}"
            );
            let with_bos = [&[1], &want[..]].concat();
            assert_eq!(
                tokenizer.encode(text).unwrap(),
                with_bos,
                "{name}: {text:?}"
            );
            let decoded = tokenizer.decode_all(&want).unwrap();
            assert_eq!(decoded, case["decoded"], "{name}: {text:?}");
        }
    }
}

#[test]
fn what_a_file_asks_for_and_is_not_built_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |add: &dyn Fn(&mut Writer<'_>)| {
        let path = folder.path().join("model.gguf");
        let mut writer = Writer::default();
        add(&mut writer);
        writer.write(&path).unwrap();
        assert!(GgufFile::is_at(&path));
        Config::read(&path).unwrap_err().to_string()
    };
    let error = refused(&|writer| writer.text("general.architecture", "mamba"));
    assert!(
        error.contains("the architecture \"mamba\" is not supported") && error.contains("llama"),
        "{error}"
    );
    let error = refused(&|writer| writer.text("general.type", "adapter"));
    assert!(error.contains("general.type \"adapter\""), "{error}");
    let error = refused(&|writer| writer.u32("split.count", 3));
    assert!(error.contains("a model in 3 files"), "{error}");
    let error = refused(&|writer| writer.u32("general.architecture", 3));
    assert!(
        error.contains("general.architecture must be a text, got 3"),
        "{error}"
    );
    let error = refused(&|_| {});
    assert!(
        error.contains("general.architecture must be given, got nothing"),
        "{error}"
    );
}
