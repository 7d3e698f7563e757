mod families;
mod fields;
mod published;
mod quantization;
mod rope;

use super::Config;
use crate::models::{Error, Llama3, Result, Scaling};
use serde_json::{Value, json};
use std::path::Path;

fn llama() -> Value {
    json!({
        "model_type": "llama", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-6, "vocab_size": 96,
        "max_position_embeddings": 64,
    })
}

fn qwen2() -> Value {
    with(llama(), json!({"model_type": "qwen2"}))
}

fn with(mut config: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        config[name] = value.clone();
    }
    config
}

fn parse(config: &Value) -> Result<Config> {
    Config::parse(config, Path::new("m/config.json"))
}

#[track_caller]
fn accepts(config: Value) -> Config {
    parse(&config).unwrap_or_else(|error| panic!("{config}: {error}"))
}

#[track_caller]
fn refuses(config: Value, expected: &[&str]) {
    let message = match parse(&config) {
        Ok(_) => panic!("accepted {config}"),
        Err(error) => error.to_string(),
    };
    for text in expected {
        assert!(message.contains(text), "{config}: no {text:?} in {message}");
    }
}
