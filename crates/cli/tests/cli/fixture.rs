//! A tiny model with a tokenizer and a chat template, and a data set, in a folder of their own.

use candle_core::{Device, Tensor};
use metal_candle::data::{train_bpe, write_tokenizer};
use metal_candle::models::{Model, save_checkpoint};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

pub const LIMIT: usize = 96;
pub const VOCAB_SIZE: usize = 320;

const TEMPLATE: &str = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}\
                        {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
const SPECIAL: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];

pub struct Fixture {
    folder: TempDir,
}

/// How the binary ended.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Fixture {
    pub fn new() -> Self {
        let fixture = Self {
            folder: TempDir::new().unwrap(),
        };
        write_model(&fixture.path("model"), 7);
        fixture.write("data/train.jsonl", &rows(24));
        fixture.write("data/valid.jsonl", &rows(6));
        fixture
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.read(name)).unwrap()
    }

    /// Changes fields of a JSON file.
    pub fn edit(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut value = self.json(name);
        change(&mut value);
        self.write(name, &value.to_string());
    }

    /// Changes the tensors of a file.
    pub fn edit_tensors(&self, name: &str, change: impl FnOnce(&mut HashMap<String, Tensor>)) {
        let path = self.path(name);
        let mut tensors = self.tensors(name);
        change(&mut tensors);
        candle_core::safetensors::save(&tensors, path).unwrap();
    }

    pub fn tensors(&self, name: &str) -> HashMap<String, Tensor> {
        candle_core::safetensors::load(self.path(name), &Device::Cpu).unwrap()
    }

    /// The binary in this folder, words separated by blanks.
    pub fn command(&self, words: &str) -> Command {
        let mut command = Command::new(crate::PROGRAM);
        command
            .args(words.split_whitespace())
            .current_dir(self.folder.path())
            .env("HF_HOME", self.path("hf"))
            // No measurements of this machine, on Linux.
            .env("XDG_CACHE_HOME", self.path("cache"))
            .stdin(Stdio::null());
        for name in ["HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN", "HF_ENDPOINT"] {
            command.env_remove(name);
        }
        command
    }

    pub fn run(&self, words: &str) -> Ended {
        ended(self.command(words).output().unwrap())
    }

    /// Runs what must succeed.
    pub fn ok(&self, words: &str) -> Ended {
        let ended = self.run(words);
        assert_eq!(ended.code, Some(0), "{words}\n{}", ended.stderr);
        ended
    }

    /// Runs what must succeed and print one JSON object.
    pub fn ok_json(&self, words: &str) -> Value {
        serde_json::from_str(&self.ok(words).stdout).unwrap()
    }

    /// Trains a few quick steps.
    pub fn train(&self, words: &str) -> Ended {
        self.ok(&format!("{TRAIN} {words}"))
    }

    /// Runs what must fail with `code` and say all of `expected`.
    pub fn fails(&self, words: &str, code: i32, expected: &[&str]) -> Ended {
        let ended = self.run(words);
        ended.check(words, code, expected);
        ended
    }

    /// Runs a training that must fail and leave no adapter.
    pub fn train_fails(&self, words: &str, code: i32, expected: &[&str]) {
        self.fails(&format!("{TRAIN} {words}"), code, expected);
        self.assert_nothing_half_written("adapters");
    }

    /// No adapter, no checkpoint, no temporary file in a folder that may not exist at all.
    pub fn assert_nothing_half_written(&self, folder: &str) {
        for file in files_below(&self.path(folder)) {
            assert_eq!(file.file_name().unwrap(), "metrics.jsonl", "{file:?}");
        }
    }
}

/// A short run; options that are given again win.
pub const TRAIN: &str = "train --model model --data data --iters 4 --batch-size 4 --max-seq-length 64 \
                         --steps-per-report 2 --learning-rate 1e-2 --rank 4";

impl Ended {
    pub fn check(&self, what: &str, code: i32, expected: &[&str]) {
        let Self { stdout, stderr, .. } = self;
        assert_eq!(self.code, Some(code), "{what}\n{stderr}");
        for text in expected {
            assert!(stderr.contains(text), "{what}: no {text:?} in\n{stderr}");
        }
        assert!(!stderr.contains("panicked"), "{stderr}");
        assert!(
            !stdout.contains("error:"),
            "errors belong on standard error\n{stdout}"
        );
    }
}

pub fn ended(output: Output) -> Ended {
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Rows of prompts and completions of different lengths.
pub fn rows(n: usize) -> String {
    let row = |i: usize| {
        let prompt = format!("say {} {}", i, "please ".repeat(i % 4));
        json!({"prompt": prompt, "completion": format!("{i} it is")}).to_string() + "\n"
    };
    (0..n).map(row).collect()
}

pub fn config() -> Value {
    json!({
        "model_type": "qwen3",
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "rms_norm_eps": 1e-6,
        "vocab_size": VOCAB_SIZE,
        "max_position_embeddings": LIMIT,
        "tie_word_embeddings": true,
        "hidden_act": "silu",
        "rope_theta": 10000.0,
        "initializer_range": 0.2,
    })
}

/// Writes a whole checkpoint folder.
pub fn write_model(folder: &Path, seed: u64) {
    let texts = [rows(40), "user assistant system".into()];
    let tokenizer = train_bpe(&texts, VOCAB_SIZE, &SPECIAL).unwrap();
    write_tokenizer(folder, &tokenizer, "<|im_end|>", Some(TEMPLATE)).unwrap();
    write_weights(folder, &config(), seed);
}

pub fn write_weights(folder: &Path, config: &Value, seed: u64) {
    let model = Model::random(config.clone(), seed, &Device::Cpu).unwrap();
    let weights = model.decoder.tensors();
    save_checkpoint(folder, config, weights).unwrap();
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = folder.read_dir() else {
        return vec![];
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    let nested = paths.flat_map(|path| match path.is_dir() {
        true => files_below(&path),
        false => vec![path],
    });
    nested.collect()
}
