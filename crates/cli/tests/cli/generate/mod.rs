//! The command `generate`.

mod ends;
mod kept;
mod prompts;
mod tokenizers;

use crate::fixture::{Fixture, LIMIT, VOCAB_SIZE, ended};
use metal_candle::data::Tokenizer;
use serde_json::{Value, json};

const JSON: &str = "generate --model model --max-tokens 8 --json";

fn ids(answer: &Value, name: &str) -> Vec<u64> {
    answer[name]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_u64().unwrap())
        .collect()
}

/// Added tokens from the tokenizer's end to the first that the model's table lacks.
fn tokens_beyond_the_model(fixture: &Fixture) -> Value {
    let n_ids = Tokenizer::from_folder(&fixture.path("model"))
        .unwrap()
        .n_ids();
    let token = |id| {
        (
            format!("{id}"),
            json!({"content": format!("<{id}>"), "special": true}),
        )
    };
    let tokens: serde_json::Map<_, _> = (n_ids..=VOCAB_SIZE).map(token).collect();
    tokens.into()
}

#[test]
fn a_bounded_cache_changes_texts_that_are_longer() {
    let fixture = Fixture::new();
    let words = "generate --model model --max-tokens 40 --json -p hello";
    let tokens = |bound: &str| ids(&fixture.ok_json(&format!("{words}{bound}")), "token_ids");
    let whole = tokens("");
    assert_eq!(whole.len(), 40);
    assert_eq!(tokens(" --max-kv-size 90"), whole);
    let bounded = tokens(" --max-kv-size 8");
    assert_ne!(bounded, whole);
    assert_eq!(bounded[0], whole[0], "a short prompt is seen whole");
    let wrong = format!("{words} --max-kv-size 4");
    fixture.fails(&wrong, 2, &["must be a whole number, at least 5"]);
}

#[test]
fn json_has_the_contract_fields() {
    let fixture = Fixture::new();
    let answer = fixture.ok_json(&format!("{JSON} -p hello"));
    assert!(!ids(&answer, "prompt_token_ids").is_empty());
    assert!(ids(&answer, "token_ids").len() <= 8);
    assert!(answer["text"].is_string());
    assert!(["stop", "length"].contains(&answer["finish_reason"].as_str().unwrap()));
    for name in ["prompt_tps", "generation_tps", "peak_memory_bytes"] {
        assert!(answer[name].is_number(), "{name}");
    }
    assert!(["max_tokens", "model"].contains(&answer["limit"].as_str().unwrap_or("max_tokens")));
    assert_eq!(answer.as_object().unwrap().len(), 8);
}

#[test]
fn text_goes_to_stdout_and_speed_to_stderr() {
    let fixture = Fixture::new();
    let text = fixture.ok_json(&format!("{JSON} -p hello"))["text"]
        .as_str()
        .unwrap()
        .to_string();
    let ended = fixture.ok("generate --model model --max-tokens 8 -p hello");
    assert_eq!(ended.stdout, format!("{text}\n"));
    for text in [
        "Prompt: ",
        "Generation: ",
        "tokens-per-sec",
        "Peak memory: ",
    ] {
        assert!(ended.stderr.contains(text), "{}", ended.stderr);
    }
}

#[test]
fn the_same_seed_draws_the_same_text() {
    let fixture = Fixture::new();
    let draw = |seed: u64| {
        let words = format!(
            "{JSON} -p hello --temp 1.5 --top-p 0.95 --min-p 0.01 --top-k 50 --seed {seed}"
        );
        ids(&fixture.ok_json(&words), "token_ids")
    };
    assert_eq!(draw(1), draw(1));
    assert!((2..6).any(|seed| draw(seed) != draw(1)));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let fixture = Fixture::new();
    let mut command = fixture.command("inspect --model model");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stdout(writer);
    let status = command.status().unwrap();
    assert_eq!(status.code(), Some(0));
}
