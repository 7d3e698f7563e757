//! Prompts and the chat template around them.

use super::*;

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
fn an_empty_prompt_without_template_is_refused() {
    let fixture = Fixture::new();
    fixture.fails(
        "generate --model model --ignore-chat-template --prompt=",
        2,
        &["the prompt is empty"],
    );
}
