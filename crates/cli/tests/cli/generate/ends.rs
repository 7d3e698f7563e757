//! Ends of a text.

use super::*;

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

#[test]
fn an_extra_eos_token_must_exist() {
    let fixture = Fixture::new();
    fixture.ok(&format!("{JSON} -p hello --extra-eos-token <|endoftext|>"));
    let words = format!("{JSON} -p hello --extra-eos-token nosuchtoken");
    fixture.fails(&words, 2, &["nosuchtoken", "--stop"]);
}
