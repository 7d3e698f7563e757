use crate::fixture::{Ended, Fixture, ended};

const CHAT: &str = "chat --model model --max-tokens 6";

/// A conversation whose messages are `lines`.
fn chat(fixture: &Fixture, words: &str, lines: &str) -> Ended {
    fixture.write("lines.txt", lines);
    let mut command = fixture.command(&format!("{CHAT} {words}"));
    command.stdin(std::fs::File::open(fixture.path("lines.txt")).unwrap());
    ended(command.output().unwrap())
}

/// What `generate` answers to a first message.
fn answer(fixture: &Fixture, words: &str) -> String {
    let words = format!("generate --model model --max-tokens 6 {words} --json");
    fixture.ok_json(&words)["text"].as_str().unwrap().to_owned()
}

#[test]
fn a_first_message_is_answered_as_a_prompt_is() {
    let fixture = Fixture::new();
    let said = chat(&fixture, "", "hello\nq\nnever read\n");
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert_eq!(said.stdout, answer(&fixture, "-p hello") + "\n");
    let said = chat(&fixture, "--system-prompt brief", "hello\n");
    let expected = answer(&fixture, "-p hello --system-prompt brief");
    assert_eq!(said.stdout, expected + "\n");
    let said = chat(&fixture, "--max-kv-size 6", "hello\n");
    let expected = answer(&fixture, "-p hello --max-kv-size 6");
    assert_eq!(said.stdout, expected + "\n");
}

#[test]
fn what_was_said_before_is_part_of_the_conversation() {
    let fixture = Fixture::new();
    let first = answer(&fixture, "-p hello");
    let said = chat(&fixture, "", "hello\n\n  again  \n");
    let (start, end) = ("<|im_start|>", "<|im_end|>");
    let rendered = format!(
        "{start}user\nhello{end}\n{start}assistant\n{first}{end}\n{start}user\nagain{end}\n{start}assistant\n"
    );
    fixture.write("prompt.txt", &rendered);
    let mut command =
        fixture.command("generate --model model --max-tokens 6 -p - --ignore-chat-template --json");
    command.stdin(std::fs::File::open(fixture.path("prompt.txt")).unwrap());
    let second: serde_json::Value =
        serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    let second = second["text"].as_str().unwrap();
    assert_eq!(said.stdout, format!("{first}\n{second}\n"));
    // A new conversation knows nothing of it.
    let said = chat(&fixture, "", "something else\nr\nhello\n");
    assert!(
        said.stdout.ends_with(&format!("{first}\n")),
        "{}",
        said.stdout
    );
}

#[test]
fn an_adapter_answers() {
    let fixture = Fixture::new();
    fixture.train("--iters 20");
    let words = "--adapter-path adapters";
    let expected = answer(&fixture, &format!("-p hello {words}"));
    assert_ne!(expected, answer(&fixture, "-p hello"));
    assert_eq!(chat(&fixture, words, "hello\n").stdout, expected + "\n");
}

#[test]
fn a_conversation_that_is_too_long_goes_on_without_the_message() {
    let fixture = Fixture::new();
    let long = "please ".repeat(100);
    let said = chat(&fixture, "", &format!("{long}\nhello\n"));
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(
        said.stderr.contains("r begins a new one"),
        "{}",
        said.stderr
    );
    assert_eq!(said.stdout, answer(&fixture, "-p hello") + "\n");
}

#[test]
fn without_a_chat_template_there_is_no_conversation() {
    let fixture = Fixture::new();
    fixture.edit("model/tokenizer_config.json", |config| {
        config.as_object_mut().unwrap().remove("chat_template");
    });
    let said = chat(&fixture, "", "hello\n");
    said.check("chat", 2, &["needs a chat template", "use generate"]);
}
