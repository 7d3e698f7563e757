//! Options of mlx-lm's programs: each is taken, or refused by name.

use super::golden_json;
use crate::fixture::{Ended, Fixture};
use serde_json::Value;

/// Commands with what they need, and mlx-lm's names for them.
const PROGRAMS: [(&str, &str); 6] = [
    ("lora", "lora --model nowhere --data data"),
    ("generate", "generate --model nowhere -p x"),
    ("chat", "chat --model nowhere"),
    ("fuse", "fuse --model nowhere --adapter-path nowhere"),
    (
        "perplexity",
        "perplexity --model nowhere --data data/train.jsonl",
    ),
    ("convert", "convert --model nowhere"),
];

/// Values that are right for options whose default tells none.
fn value(option: &str, default: &Value) -> String {
    match (option, default) {
        ("--fine-tune-type", _) => "lora".into(),
        ("--optimizer", _) => "adam".into(),
        ("--chat-template-config", _) => "{}".into(),
        ("--config", _) => "lora.yaml".into(),
        ("--data", _) => "data".into(),
        ("--resume-adapter-file", _) => "nowhere".into(),
        ("--quant-predicate", _) => "mixed_2_6".into(),
        ("--dtype", _) => "float16".into(),
        ("--q-group-size", _) => "64".into(),
        (_, Value::String(text)) => text.clone(),
        (_, Value::Number(number)) => number.to_string(),
        (_, Value::Bool(true)) => "True".into(),
        _ => "4".into(),
    }
}

/// Whether clap took an option of a command that then finds no model.
fn is_taken(ended: &Ended) -> bool {
    ended.code == Some(2) && ended.stderr.contains("nowhere")
}

#[test]
fn every_option_is_taken_or_refused_by_name() {
    let fixture = Fixture::new();
    fixture.write("lora.yaml", "iters: 5\n");
    let known = golden_json("options.json");
    let mut n_refused = 0;
    for (program, command) in PROGRAMS {
        for option in known["programs"][program].as_object().unwrap().values() {
            let names = option["names"].as_array().unwrap();
            for name in names.iter().map(|name| name.as_str().unwrap()) {
                let long = names.iter().filter_map(Value::as_str);
                let long = long.max_by_key(|name| name.len()).unwrap();
                let value = match option["takes_value"] == true {
                    true => value(long, &option["default"]),
                    false => String::new(),
                };
                let ended = fixture.run(&format!("{command} {name} {value}"));
                let is_refused = ended.code == Some(2)
                    && ended.stderr.contains(&format!("{long} is not built: "))
                    && ended.stderr.contains("help: ");
                n_refused += usize::from(is_refused);
                let is_own = ["--model", "--hf-path", "--data-path", "--save-path"].contains(&long)
                    || long == "--adapter-path";
                assert!(
                    is_taken(&ended) || is_refused || is_own,
                    "{program} {name} {value}\n{}",
                    ended.stderr
                );
            }
        }
    }
    assert!(n_refused > 9, "{n_refused}");
}

#[test]
fn options_that_change_nothing_are_told() {
    let fixture = Fixture::new();
    let told = |words: &str, expected: &[&str]| {
        let stderr = fixture.run(words).stderr;
        for text in expected {
            assert!(stderr.contains(text), "{words}: no {text:?} in\n{stderr}");
        }
    };
    told(
        "lora --model nowhere --data data --clear-cache-threshold 1GB --trust-remote-code",
        &[
            "--clear-cache-threshold changes nothing",
            "--trust-remote-code changes nothing",
        ],
    );
    told(
        "generate --model nowhere -p x --verbose False --num-draft-tokens 5 --xtc-probability 0.0",
        &[
            "--verbose",
            "--num-draft-tokens changes nothing",
            "--xtc-probability changes nothing",
        ],
    );
}

#[test]
fn an_ability_that_is_not_there_is_refused_with_what_to_do() {
    let fixture = Fixture::new();
    let refused = |words: &str, expected: &[&str]| {
        fixture.fails(words, 2, expected);
    };
    refused(
        "convert --hf-path model -q --quant-predicate mixed_2_6",
        &["--quant-predicate is not built", "--q-bits"],
    );
    refused(
        "convert --hf-path model --upload-repo me/model",
        &["--upload-repo is not built", "hf upload"],
    );
    refused(
        "generate --model model -p x --kv-bits 4",
        &["--kv-bits is not built", "leave it out"],
    );
    refused(
        "generate --model model -p x -qa",
        &["--quantize-activations is not built"],
    );
    refused(
        "generate --model model -p x --image a.png b.png",
        &["--image is not built"],
    );
    refused(
        "lora --model model --data data --report-to wandb",
        &["--report-to is not built", "give tensorboard"],
    );
    refused(
        "fuse --model model --upload-repo me/model",
        &["--upload-repo is not built", "hf upload"],
    );
}

#[test]
fn tokens_that_end_a_text_may_be_given_together() {
    let fixture = Fixture::new();
    let words =
        "generate --model model --max-tokens 2 --extra-eos-token <|im_end|> <|endoftext|> -p x";
    fixture.ok(words);
    let unknown = "generate --model model --extra-eos-token <|im_end|> nothing -p x";
    fixture.fails(unknown, 2, &["\"nothing\""]);
}
