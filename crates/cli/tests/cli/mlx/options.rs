//! Options of mlx-lm's programs: each is taken, or refused by name.

use super::golden_json;
use crate::fixture::{Ended, Fixture};
use serde_json::Value;

/// Commands with what they need, and mlx-lm's names for them.
const PROGRAMS: [(&str, &str); 8] = [
    ("lora", "lora --model nowhere --data data"),
    ("generate", "generate --model nowhere -p x"),
    ("chat", "chat --model nowhere"),
    ("fuse", "fuse --model nowhere --adapter-path nowhere"),
    (
        "perplexity",
        "perplexity --model nowhere --data data/train.jsonl",
    ),
    ("convert", "convert --model nowhere"),
    ("server", "server --model nowhere --port 0"),
    (
        "cache_prompt",
        "cache_prompt --model nowhere --prompt-cache-file kept -p x",
    ),
];

/// Values that are right for options whose default tells none.
fn value(option: &str, default: &Value) -> String {
    match (option, default) {
        ("--fine-tune-type", _) => "lora".into(),
        ("--optimizer", _) => "adam".into(),
        ("--chat-template-config", _) => "{}".into(),
        ("--chat-template", _) => "x".into(),
        ("--config", _) => "lora.yaml".into(),
        ("--data", _) => "data".into(),
        ("--resume-adapter-file", _) => "nowhere".into(),
        ("--quant-predicate", _) => "mixed_2_6".into(),
        ("--dtype", _) => "float16".into(),
        ("--q-group-size", _) => "64".into(),
        ("--max-kv-size", _) => "8".into(),
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
                    || ["--adapter-path", "--port", "--prompt-cache-file"].contains(&long);
                assert!(
                    is_taken(&ended) || is_refused || is_own,
                    "{program} {name} {value}\n{}",
                    ended.stderr
                );
            }
        }
    }
    assert_eq!(n_refused, 2, "--image, --report-to");
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
        "server --model nowhere --port 0 --log-level DEBUG --prompt-concurrency 4 --prompt-cache-size 3 --kv-bits 8",
        &[
            "--log-level changes nothing",
            "--prompt-concurrency changes nothing",
            "--prompt-cache-size changes nothing",
            "--kv-bits changes nothing",
        ],
    );
    told(
        "generate --model nowhere -p x --verbose False --num-draft-tokens 5 --draft-model y --kv-bits 4 \
         --kv-group-size 64 --quantized-kv-start 10",
        &[
            "--verbose",
            "--num-draft-tokens changes nothing",
            "--draft-model changes nothing",
            "--kv-bits changes nothing",
            "--kv-group-size changes nothing",
            "--quantized-kv-start changes nothing",
        ],
    );
    told(
        "generate --model nowhere -p x -qa",
        &["--quantize-activations changes nothing"],
    );
    for words in [
        "convert --hf-path nowhere",
        "fuse --model nowhere --adapter-path nowhere",
    ] {
        told(
            &format!("{words} --upload-repo me/model"),
            &["--upload-repo changes nothing", "hf upload"],
        );
    }
}

#[test]
fn an_ability_that_is_not_there_is_refused_with_what_to_do() {
    let fixture = Fixture::new();
    let refused = |words: &str, expected: &[&str]| {
        fixture.fails(words, 2, expected);
    };
    refused(
        "generate --model model -p x --image a.png b.png",
        &["--image is not built"],
    );
    refused(
        "lora --model model --data data --report-to wandb",
        &["--report-to is not built", "give tensorboard"],
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

/// Tokens as the fixture's chat template has them before an answer.
#[test]
fn an_answer_goes_on_behind_its_beginning() {
    let fixture = Fixture::new();
    let prompt = |words: &str| {
        let words = format!("generate --model model --max-tokens 3 --json -p x {words}");
        fixture.ok_json(&words)["prompt_token_ids"].clone()
    };
    let tokenizer = metal_candle::data::Tokenizer::from_folder(&fixture.path("model")).unwrap();
    let rendered = "<|im_start|>user\nx<|im_end|>\n<|im_start|>assistant\nit";
    let expected = tokenizer.encode_raw(rendered).unwrap();
    assert_eq!(prompt("--prefill-response it"), serde_json::json!(expected));
    let words = "generate --model model --ignore-chat-template --prefill-response it -p x";
    fixture.fails(words, 2, &["--prefill-response needs a chat template"]);
}

#[test]
fn xtc_and_tokens_to_keep_change_what_is_drawn() {
    let fixture = Fixture::new();
    let text = |words: &str| {
        let words = format!("generate --model model --max-tokens 16 --temp 1 --json -p x {words}");
        fixture.ok_json(&words)["token_ids"].clone()
    };
    let plain = text("");
    assert_eq!(text("--xtc-threshold 0"), plain);
    let xtc = text("--xtc-probability 1 --xtc-threshold 0");
    assert_ne!(xtc, plain);
    let one = text("--min-p 1");
    assert_eq!(text("--min-p 1 --min-tokens-to-keep 1"), one);
    assert_ne!(text("--min-p 1 --min-tokens-to-keep 300"), one);
    for (words, expected) in [
        ("--xtc-probability 1.5", "must be a number from 0 to 1"),
        ("--xtc-threshold 0.6", "must be a number from 0 to 0.5"),
        ("--min-tokens-to-keep 0", "must be at least 1"),
    ] {
        fixture.fails(
            &format!("generate --model model -p x {words}"),
            2,
            &[expected],
        );
    }
}
