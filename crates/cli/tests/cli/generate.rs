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
fn a_prompt_can_come_from_standard_input() {
    let fixture = Fixture::new();
    fixture.write("prompt.txt", "hello");
    let mut command = fixture.command(&format!("{JSON} -p -"));
    command.stdin(std::fs::File::open(fixture.path("prompt.txt")).unwrap());
    let from_input: Value = serde_json::from_str(&ended(command.output().unwrap()).stdout).unwrap();
    let given = fixture.ok_json(&format!("{JSON} -p hello"));
    assert_eq!(from_input["prompt_token_ids"], given["prompt_token_ids"]);
    assert_eq!(from_input["token_ids"], given["token_ids"]);
}

#[test]
fn the_chat_template_is_used_unless_it_is_ignored() {
    let fixture = Fixture::new();
    let length = |words: &str| {
        ids(
            &fixture.ok_json(&format!("{JSON} {words}")),
            "prompt_token_ids",
        )
        .len()
    };
    let plain = length("-p hello --ignore-chat-template");
    let chat = length("-p hello");
    let system = length("-p hello --system-prompt please");
    assert!(plain < chat && chat < system, "{plain} {chat} {system}");
    let words = format!("{JSON} -p hello --ignore-chat-template --system-prompt please");
    fixture.fails(&words, 2, &["--system-prompt needs a chat template"]);
}

#[test]
fn template_variables_reach_the_template() {
    let fixture = Fixture::new();
    fixture.write(
        "model/chat_template.jinja",
        "{% if loud %}HEY {% endif %}{{ messages[0].content }}",
    );
    let length = |words: &str| {
        ids(
            &fixture.ok_json(&format!("{JSON} -p hello {words}")),
            "prompt_token_ids",
        )
        .len()
    };
    assert!(length("--chat-template-config {\"loud\":true}") > length(""));
    fixture.fails(
        &format!("{JSON} -p x --chat-template-config [1]"),
        2,
        &["JSON object"],
    );
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
fn every_way_to_end_is_honoured() {
    let fixture = Fixture::new();
    let answer = fixture.ok_json(&format!("{JSON} -p hello"));
    assert_eq!(answer["finish_reason"], "length");
    let third = ids(&answer, "token_ids")[2];
    assert!(
        !ids(&answer, "token_ids")[..2].contains(&third),
        "choose another prompt"
    );

    fixture.write(
        "model/generation_config.json",
        &format!("{{\"eos_token_id\": [1, {third}]}}"),
    );
    let ended = fixture.ok_json(&format!("{JSON} -p hello"));
    assert_eq!(ended["finish_reason"], "stop");
    assert!(ended["limit"].is_null());
    assert_eq!(ids(&ended, "token_ids"), ids(&answer, "token_ids")[..2]);
}

#[test]
fn stop_strings_end_the_text_and_are_not_shown() {
    let fixture = Fixture::new();
    let words = "generate --model model --max-tokens 24 --json -p hello";
    let whole = fixture.ok_json(words)["text"].as_str().unwrap().to_string();
    let can_stop = |c: &char| !c.is_whitespace() && *c != char::REPLACEMENT_CHARACTER;
    let stop = whole.chars().rfind(can_stop).unwrap();
    let answer = fixture.ok_json(&format!("{words} --stop {stop} --stop zzz"));
    assert_eq!(answer["finish_reason"], "stop");
    assert_eq!(answer["text"], whole.split(stop).next().unwrap());
}

/// A token of a text becomes a special one; transformers looks for stop strings in the text with
/// special tokens.
#[test]
fn a_special_token_can_be_a_stop_string() {
    let fixture = Fixture::new();
    let words = "generate --model model --max-tokens 24 --json -p hello";
    let right = ids(&fixture.ok_json(words), "token_ids");
    let file = fixture.json("model/tokenizer.json");
    let vocab = file["model"]["vocab"].as_object().unwrap();
    let spelling = |id: u64| {
        vocab
            .iter()
            .find(|(_, of)| **of == id)
            .map(|(token, _)| token.clone())
    };
    // A token of the prompt would be cut in another way, and bytes that are no letters are not what
    // the text shows.
    let prompt = "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n";
    let is_new = |at: usize, token: &str| {
        let before = right[..at].iter().filter_map(|&id| spelling(id));
        token.is_ascii() && !(prompt.to_owned() + &before.collect::<String>()).contains(token)
    };
    let mut candidates = (1..right.len()).filter_map(|at| Some((at, spelling(right[at])?)));
    let (at, token) = candidates.find(|(at, token)| is_new(*at, token)).unwrap();
    fixture.edit("model/tokenizer.json", |file| {
        let added = json!({"id": right[at], "content": token, "special": true, "single_word": false,
            "lstrip": false, "rstrip": false, "normalized": false});
        file["added_tokens"]
            .as_array_mut()
            .unwrap()
            .insert(0, added);
    });
    let stopped = ended(
        fixture
            .command(words)
            .args(["--stop", &token])
            .output()
            .unwrap(),
    );
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    let stopped: Value = serde_json::from_str(&stopped.stdout).unwrap();
    assert_eq!(stopped["finish_reason"], "stop", "{token}");
    assert_eq!(ids(&stopped, "token_ids"), right[..=at]);
    assert!(!stopped["text"].as_str().unwrap().contains(&token));
}

#[test]
fn the_limit_that_ended_a_text_is_told() {
    let fixture = Fixture::new();
    let limit = format!("{LIMIT} tokens");
    let long = "x".repeat(LIMIT - 2);
    let words = format!("generate --model model --json --ignore-chat-template -p {long} -m 50");
    let answer = fixture.run(&words);
    let json: Value = serde_json::from_str(&answer.stdout).unwrap();
    let n_prompt = ids(&json, "prompt_token_ids").len();
    let room = LIMIT + 1 - n_prompt;
    assert!(room < 50, "the test needs a prompt near the limit");
    assert_eq!(
        (&json["finish_reason"], &json["limit"]),
        (&"length".into(), &"model".into())
    );
    assert_eq!(ids(&json, "token_ids").len(), room);
    let ends = format!("the text ends at the model's limit of {limit}");
    let before = format!("leaves room for {room} after a prompt of {n_prompt}, not for 50");
    answer.check(&words, 0, &[&ends, &before, &limit]);

    let few = fixture.ok(&format!("{JSON} -p hello"));
    assert!(!few.stderr.contains("limit"), "{}", few.stderr);
    let none = fixture.ok_json("generate --model model --json -p hello -m 0");
    assert_eq!(
        (&none["text"], &none["limit"]),
        (&"".into(), &"max_tokens".into())
    );
}

#[test]
fn texts_may_begin_with_a_dash() {
    let fixture = Fixture::new();
    let answer = |arguments: &[&str]| {
        let mut command = fixture.command("generate --model model --json -m 1");
        let ended = ended(command.args(arguments).output().unwrap());
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
        serde_json::from_str::<Value>(&ended.stdout).unwrap()["prompt_token_ids"].clone()
    };
    for text in ["-5 degrees", "- item", "--help me", "--help", "--", "-m"] {
        let right = answer(&[&format!("--prompt={text}")]);
        assert_eq!(answer(&["-p", text]), right, "{text}");
        assert_eq!(answer(&["--prompt", text]), right, "{text}");
        assert_eq!(
            answer(&["-p", text, "--stop", text, "--stop", "---"]),
            right,
            "{text}"
        );
        let right = answer(&["-p", "a", &format!("--system-prompt={text}")]);
        assert_eq!(
            answer(&["-p", "a", "--system-prompt", text]),
            right,
            "{text}"
        );
    }
    let words = format!("{JSON} -p x --extra-eos-token --none");
    fixture.fails(
        &words,
        2,
        &["--extra-eos-token \"--none\" is not in the tokenizer's vocabulary"],
    );
}

#[test]
fn a_tokenizer_in_another_format_is_named() {
    let fixture = Fixture::new();
    std::fs::remove_file(fixture.path("model/tokenizer.json")).unwrap();
    fixture.fails(
        &format!("{JSON} -p x"),
        2,
        &["no tokenizer.json in model, nor"],
    );
    fixture.write("model/tokenizer.model", "x");
    let help = "AutoTokenizer.from_pretrained(\"model\").save_pretrained(\"model\")";
    fixture.fails(
        &format!("{JSON} -p x"),
        2,
        &["model has tokenizer.model, but", help],
    );
}

#[test]
fn an_end_that_the_model_cannot_give_is_told() {
    let fixture = Fixture::new();
    let added = tokens_beyond_the_model(&fixture);
    fixture.edit("model/tokenizer_config.json", |config| {
        config["added_tokens_decoder"] = added;
        config["eos_token"] = format!("<{VOCAB_SIZE}>").into();
    });
    let ended = fixture.ok(&format!("{JSON} -p hello"));
    let told = format!("has id {VOCAB_SIZE}, and the model has {VOCAB_SIZE} tokens");
    assert!(ended.stderr.contains(&told), "{}", ended.stderr);
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

/// Trainers save a tokenizer with its template beside the adapter.
#[test]
fn an_adapters_own_tokenizer_is_used_and_told() {
    let fixture = Fixture::new();
    fixture.train("");
    let words = format!("{JSON} -p hello --adapter-path adapters");
    let plain = fixture.ok(&words);
    assert!(!plain.stderr.contains("tokenizer"), "{}", plain.stderr);
    fixture.write(
        "adapters/chat_template.jinja",
        "{{ messages[0].content }} and more",
    );
    let own = fixture.ok(&words);
    assert!(
        own.stderr
            .contains("Using the tokenizer and chat template in adapters")
    );
    let prompt = |ended: &str| ids(&serde_json::from_str(ended).unwrap(), "prompt_token_ids");
    assert_ne!(prompt(&own.stdout), prompt(&plain.stdout));
    for words in [
        "perplexity --model model --adapter-path adapters --data data/valid.jsonl",
        "inspect --model model --adapter-path adapters --data data/valid.jsonl",
        "train --model model --data data --resume-adapter-file adapters --adapter-path again --iters 1 --max-seq-length 64",
        "fuse --model model --adapter-path adapters --save-path fused",
    ] {
        let ended = fixture.ok(words);
        assert!(
            ended.stderr.contains("template in adapters"),
            "{words}: {}",
            ended.stderr
        );
    }
    for folder in ["again", "fused"] {
        let copied = fixture.read(&format!("{folder}/chat_template.jinja"));
        assert_eq!(copied, "{{ messages[0].content }} and more");
    }
    let config = json!({"added_tokens_decoder": tokens_beyond_the_model(&fixture)});
    fixture.write("adapters/tokenizer_config.json", &config.to_string());
    let told = fixture.ok(&words).stderr;
    assert!(
        told.contains("has ids up to 320, and the model has 320 tokens"),
        "{told}"
    );
}

#[test]
fn a_beginning_that_the_prompt_spells_is_given_once() {
    let fixture = Fixture::new();
    fixture.edit("model/tokenizer.json", |file| {
        let bos = file["added_tokens"][0].clone();
        file["post_processor"] = json!({
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": bos["content"], "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {bos["content"].as_str().unwrap(): {"id": bos["content"], "ids": [bos["id"]], "tokens": [bos["content"]]}},
        });
    });
    let plain = fixture.ok_json(&format!("{JSON} -p hello --ignore-chat-template"));
    let words = format!("{JSON} -p <|endoftext|>hello --ignore-chat-template");
    let spelt = fixture.ok(&words);
    assert!(
        spelt.stderr.contains("it is given once"),
        "{}",
        spelt.stderr
    );
    let spelt: Value = serde_json::from_str(&spelt.stdout).unwrap();
    assert_eq!(spelt["prompt_token_ids"], plain["prompt_token_ids"]);
}

#[test]
fn a_template_that_refuses_gives_its_own_words() {
    let fixture = Fixture::new();
    fixture.write(
        "model/chat_template.jinja",
        "{{ raise_exception('no system role, please') }}",
    );
    fixture.fails(
        &format!("{JSON} -p x --system-prompt y"),
        2,
        &["no system role, please"],
    );
}

#[test]
fn an_extra_eos_token_must_exist() {
    let fixture = Fixture::new();
    fixture.ok(&format!("{JSON} -p hello --extra-eos-token <|endoftext|>"));
    let words = format!("{JSON} -p hello --extra-eos-token nosuchtoken");
    fixture.fails(&words, 2, &["nosuchtoken", "--stop"]);
}

#[test]
fn an_empty_prompt_without_template_is_refused() {
    let fixture = Fixture::new();
    fixture.fails(
        "generate --model model --ignore-chat-template --prompt=",
        2,
        &["the prompt is empty"],
    );
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
