//! `tokenizer.json` and the files beside it. The crate that reads them panics on some, or never ends.

mod models;
mod parts;

use crate::input::{GENERATE, INSPECT, Input, PERPLEXITY, TRAIN};
use crate::{mutate, odd_file};

const FILE: &str = "model/tokenizer.json";
const CONFIG: &str = "model/tokenizer_config.json";
const MAP: &str = "model/special_tokens_map.json";
/// A text with blanks, digits, letters of several bytes and a special token.
const TEXT: &str = "a  b\u{301} 12\u{4e2d}\u{1f600}<|im_end|>!";

pub fn inputs() -> Vec<Input> {
    let mut inputs = odd_file::all(FILE, GENERATE);
    inputs.extend(odd_file::all_of_optional(CONFIG, GENERATE));
    inputs.extend(odd_file::all_of_optional(MAP, GENERATE));
    inputs.extend(refused());
    inputs.extend(parts::inputs());
    inputs.extend(models::inputs());
    inputs.extend(beside());
    inputs.extend(texts());
    inputs.extend(mutate::json_of(FILE, &[GENERATE, PERPLEXITY, TRAIN], 50));
    inputs.extend(mutate::json_of(CONFIG, &[GENERATE, INSPECT, TRAIN], 30));
    inputs.extend(mutate::bytes_of(FILE, &[GENERATE, PERPLEXITY], 20));
    inputs
}

fn set(pointer: &str, raw: &str) -> Input {
    let shown: String = raw.chars().take(140).collect();
    let input = Input::new(
        format!("{pointer} = {shown}"),
        "generate --model model --max-tokens 2 --ignore-chat-template",
    );
    input
        .arg("-p")
        .arg(TEXT)
        .set(FILE, pointer, mutate::extreme(raw))
}

fn refused() -> Vec<Input> {
    let file = |name: &str, text: String| {
        Input::new(name, GENERATE)
            .file(FILE, text)
            .refused(&["tokenizer.json"])
    };
    let mut inputs = vec![
        file("a list", "[]".into()),
        file("no fields", "{}".into()),
        file("null", "null".into()),
        file(
            "100,000 lists deep",
            mutate::nested("{\"a\":[", "", "]}", 100_000),
        ),
        Input::new("only tokenizer.model", GENERATE)
            .change(|folder| {
                std::fs::rename(folder.join(FILE), folder.join("model/tokenizer.model")).unwrap();
            })
            .refused(&["tokenizer.model"]),
    ];
    let wrong = [
        ("/model", "null"),
        ("/model", "{}"),
        ("/model/type", "\"Foo\""),
        ("/model/vocab", "[]"),
        ("/model/vocab", "{\"a\": -1}"),
        ("/model/vocab", "{\"a\": 4294967296}"),
        ("/model/merges", "[[\"a\"]]"),
        ("/model/merges", "[\"a b c\"]"),
        ("/model/merges", "[[\"nothing\", \"there\"]]"),
        ("/pre_tokenizer/type", "\"Foo\""),
        ("/decoder/type", "\"Foo\""),
        ("/added_tokens", "5"),
        ("/pre_tokenizer", "DEEP"),
    ];
    inputs.extend(wrong.map(|(pointer, raw)| set(pointer, raw).refused(&["tokenizer.json"])));
    let split = |pattern: &str| {
        format!(
            "{{\"type\":\"Split\",\"pattern\":{{\"Regex\":\"{pattern}\"}},\"behavior\":\"Isolated\",\"invert\":false}}"
        )
    };
    inputs.extend(
        ["(", "[", "(?<a>", "\\\\p{Nothing}", "a{2,1}"]
            .map(|pattern| set("/pre_tokenizer", &split(pattern)).refused(&["tokenizer.json"])),
    );
    let patterns = [
        "(a+)+$",
        "(.*)*(.*)*(.*)*x",
        "(?=.*)",
        "",
        "((a{1,900}){1,900}){1,900}",
        "(?<=a)b",
        "\\\\b",
        "$",
    ];
    inputs.extend(patterns.map(|pattern| set("/pre_tokenizer", &split(pattern))));
    inputs
}

/// The files beside it.
fn beside() -> Vec<Input> {
    let config = |pointer: &str, raw: &str| {
        let input = Input::new(format!("config {pointer} = {raw}"), GENERATE);
        input.set(CONFIG, pointer, mutate::extreme(raw))
    };
    let refused = [
        ("/chat_template", "5"),
        ("/chat_template", "[5]"),
        ("/chat_template", "[{\"name\": \"default\"}]"),
        ("/chat_template", "\"{% for\""),
        ("/chat_template", "\"{{\""),
    ];
    let mut inputs: Vec<Input> = refused
        .map(|(pointer, raw)| config(pointer, raw).refused(&["tokenizer_config.json"]))
        .into();
    // Published files have the first.
    let accepted = [
        ("/model_max_length", "1000000000000000019884624838656"),
        ("/added_tokens_decoder", "{}"),
        ("/bos_token", "null"),
        ("/an_unknown_field", "[{}]"),
        ("/tokenizer_class", "\"Qwen2Tokenizer\""),
        ("/pad_token", "null"),
    ];
    inputs.extend(accepted.map(|(pointer, raw)| config(pointer, raw).accepted()));
    let any = [
        ("/eos_token", "5"),
        ("/eos_token", "{}"),
        ("/eos_token", "{\"content\": 5}"),
        ("/bos_token", "\"\""),
        ("/bos_token", "HUGE"),
        ("/chat_template", "[]"),
        ("/chat_template", "\"\""),
        ("/added_tokens_decoder", "{\"-1\": {\"content\": \"x\"}}"),
        (
            "/added_tokens_decoder",
            "{\"4294967295\": {\"content\": \"x\"}}",
        ),
        (
            "/added_tokens_decoder",
            "{\"99999999999\": {\"content\": \"x\"}}",
        ),
        ("/added_tokens_decoder", "{\"x\": {\"content\": \"x\"}}"),
        ("/added_tokens_decoder", "{\"320\": {}}"),
        ("/added_tokens_decoder", "{\"320\": {\"content\": \"\"}}"),
        ("/added_tokens_decoder", "5"),
        ("/added_tokens_decoder", "[]"),
        ("/added_tokens_decoder", "{\"0\": {\"content\": \"other\"}}"),
        ("/additional_special_tokens", "[[[]]]"),
        ("/additional_special_tokens", "LONG"),
        ("/added_tokens_decoder", "DEEP"),
        ("/eos_token", "\"\\u001b[31m\""),
    ];
    inputs.extend(any.map(|(pointer, raw)| config(pointer, raw)));
    let map = [
        "{\"eos_token\": 5}",
        "{\"eos_token\": {\"content\": {}}}",
        "{\"bos_token\": \"nothing\"}",
        "{\"a\": [[]]}",
    ];
    inputs.extend(map.map(|text| Input::new(format!("map {text}"), GENERATE).file(MAP, text)));
    inputs
}

/// Texts that take some tokenizers a time that grows with their square.
fn texts() -> Vec<Input> {
    let text = |name: &str, text: String| {
        let input = Input::new(
            name,
            "perplexity --model model --max-seq-length 48 --data long.jsonl",
        );
        input
            .file(
                "long.jsonl",
                format!("{}\n", serde_json::json!({"text": text})),
            )
            .accepted()
    };
    vec![
        text("1 MB of one letter", "a".repeat(1 << 20)),
        text("1 MB of blanks", " ".repeat(1 << 20)),
        text(
            "1 MB of blanks and a letter",
            format!("{}x", " ".repeat(1 << 20)),
        ),
        text("1 MB of line ends", "\n".repeat(1 << 20)),
        text("1 MB of digits", "1".repeat(1 << 20)),
        text("1 MB of signs", "!?".repeat(1 << 19)),
        text("1 MB of accents", "\u{301}".repeat(1 << 19)),
        text("special tokens, 50,000", "<|im_start|>".repeat(50_000)),
        text("beginnings of special tokens", "<|im_".repeat(200_000)),
    ]
}
