use crate::fixture::{Fixture, ended};
use serde_json::Value;

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
    assert_eq!(answer.as_object().unwrap().len(), 7);
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
