//! Special tokens that a training adds, and what every command makes of an adapter with them.

use crate::fixture::{Fixture, TRAIN, config, write_weights};
use metal_candle::data::Tokenizer;
use serde_json::{Value, json};

const ADD: &str = "--add-tokens <tool>,</tool>";
const BOTH: &str = "--model model --adapter-path adapters";

/// Rows with tokens that the tokenizer does not have.
fn rows(n: usize) -> String {
    let row = |i: usize| {
        let row = json!({"prompt": format!("<tool>say {i}</tool>"), "completion": format!("<tool>{i}</tool>")});
        row.to_string() + "\n"
    };
    (0..n).map(row).collect()
}

/// A model that has rows to spare beside those of its tokenizer's tokens, and their number.
fn with_rows(is_tied: bool, n_spare: usize) -> (Fixture, usize) {
    let fixture = Fixture::new();
    let n = n_ids(&fixture, "model");
    let mut config = config();
    config["vocab_size"] = (n + n_spare).into();
    config["tie_word_embeddings"] = is_tied.into();
    write_weights(&fixture.path("model"), &config, 7);
    fixture.write("data/train.jsonl", &rows(24));
    fixture.write("data/valid.jsonl", &rows(6));
    (fixture, n)
}

fn n_ids(fixture: &Fixture, folder: &str) -> usize {
    let tokenizer = Tokenizer::from_folder(&fixture.path(folder));
    tokenizer.unwrap().n_ids()
}

fn loss(fixture: &Fixture, model: &str) -> f64 {
    let answer = fixture.ok_json(&format!(
        "perplexity {model} --data data/valid.jsonl --json"
    ));
    answer["loss"].as_f64().unwrap()
}

fn generated(fixture: &Fixture, model: &str) -> Value {
    let words = format!("generate {model} -p <tool>say --json -m 6 --ignore-chat-template");
    fixture.ok_json(&words)["token_ids"].clone()
}

#[test]
fn new_tokens_are_trained_and_go_with_the_adapter() {
    for is_tied in [true, false] {
        let (fixture, n) = with_rows(is_tied, 0);
        let trained = fixture.train(&format!("{ADD} --mask-prompt"));
        assert!(
            trained.stdout.contains("All 5 checks passed"),
            "{}",
            trained.stdout
        );
        assert!(
            trained.stderr.contains("rows of 2 tokens"),
            "{}",
            trained.stderr
        );
        let mut expected = json!({"embed_tokens": [n, n + 1]});
        if !is_tied {
            expected["lm_head"] = expected["embed_tokens"].clone();
        }
        let config = fixture.json("adapters/adapter_config.json");
        assert_eq!(config["trainable_token_indices"], expected);
        let tokenizer = Tokenizer::from_folder(&fixture.path("adapters")).unwrap();
        let ids = tokenizer.encode_raw("<tool></tool>").unwrap();
        assert_eq!(ids, [n as u32, n as u32 + 1]);
        assert!(tokenizer.has_chat_template());
        check_commands(&fixture, n);
    }
}

fn check_commands(fixture: &Fixture, n: usize) {
    let verified = fixture.ok(&format!(
        "verify {BOTH} --data data/valid.jsonl --mask-prompt"
    ));
    assert!(
        verified.stdout.contains("All 5 checks passed"),
        "{}",
        verified.stdout
    );
    fixture.ok(&format!("fuse {BOTH} --save-path fused"));
    assert_eq!(fixture.json("fused/config.json")["vocab_size"], n + 2);
    let weights = fixture.tensors("fused/model.safetensors");
    assert_eq!(weights["model.embed_tokens.weight"].dims(), [n + 2, 32]);
    assert_eq!(n_ids(fixture, "fused"), n + 2);
    let difference = loss(fixture, BOTH) - loss(fixture, "--model fused");
    assert!(difference.abs() < 1e-4, "{difference}");
    assert_eq!(
        generated(fixture, BOTH),
        generated(fixture, "--model fused")
    );
    let more = "--iters 2 --resume-adapter-file adapters --adapter-path more";
    fixture.ok(&format!("{TRAIN} {more}"));
    assert_eq!(n_ids(fixture, "more"), n + 2);
    for tool in ["mlx", "gguf"] {
        let words = format!("adapter convert adapters {tool}.gguf --to {tool} --model model");
        fixture.fails(
            &words,
            2,
            &["rows of tokens (trainable_token_indices)", "fuse"],
        );
    }
}

/// Rows that are spare, as Qwen's, are used first.
#[test]
fn rows_that_are_there_are_used() {
    let (fixture, n) = with_rows(true, 5);
    fixture.train(ADD);
    fixture.ok(&format!("fuse {BOTH} --save-path fused"));
    assert_eq!(fixture.json("fused/config.json")["vocab_size"], n + 5);
    assert_eq!(n_ids(&fixture, "fused"), n + 2);
    let before = fixture.tensors("model/model.safetensors")["model.embed_tokens.weight"].clone();
    let after = fixture.tensors("fused/model.safetensors")["model.embed_tokens.weight"].clone();
    let changed = (before - after).unwrap().abs().unwrap().sum(1).unwrap();
    let changed: Vec<f32> = changed.to_vec1().unwrap();
    let changed = changed
        .iter()
        .enumerate()
        .filter(|(_, change)| **change > 0.0);
    let changed: Vec<usize> = changed.map(|(row, _)| row).collect();
    assert_eq!(changed, [n, n + 1]);
}

#[test]
fn tokens_are_refused_where_nothing_could_train_them() {
    let fixture = Fixture::new();
    for (words, expected) in [
        (
            format!("{ADD} --fine-tune-type full --num-layers -1"),
            "--add-tokens",
        ),
        (
            format!("{ADD} --fine-tune-type loha"),
            "trainable_token_indices",
        ),
        (
            format!("{ADD} --targets q_proj,embed_tokens"),
            "another adapter beside",
        ),
        (
            format!("{ADD} --resume-adapter-file adapters"),
            "--add-tokens",
        ),
        ("--add-tokens a,,b".to_string(), "not blank"),
    ] {
        fixture.train_fails(&words, 2, &[expected]);
    }
}
