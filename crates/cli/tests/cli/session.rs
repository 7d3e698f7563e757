//! `docs/session.md`: a recorded session, run again and compared. Numbers and names of this machine are masked.
//!
//!     cargo test -p metal-candle-cli --test cli -- --ignored session::record
//!
//! writes what its commands say now.
#![cfg(unix)]

use crate::fixture::Fixture;
use crate::hub_server::Server;
use serde_json::json;
use std::path::PathBuf;
use std::process::Command;

const PROMPT: &str = "$ metal-candle ";

fn page() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/session.md")
}

/// A model of the hub that knows nothing, and rows of one answer.
fn fixture() -> Fixture {
    let fixture = Fixture::new();
    let row = |i: usize| {
        let messages = json!([
            {"role": "user", "content": format!("please do {i}")},
            {"role": "assistant", "content": "it is done"},
        ]);
        json!({"messages": messages}).to_string() + "\n"
    };
    fixture.write("data/train.jsonl", &(0..40).map(row).collect::<String>());
    fixture.write("data/valid.jsonl", &(40..48).map(row).collect::<String>());
    fixture
}

/// What a command says on both streams, as a terminal shows it.
fn said(fixture: &Fixture, hub: &Server, words: &str) -> String {
    let command = fixture.command("");
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("exec {} {words} 2>&1", crate::PROGRAM)])
        .current_dir(fixture.path(""));
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.env("HF_ENDPOINT", &hub.endpoint);
    let output = shell.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{words}\n{text}");
    text
}

/// The page with what its commands say now.
fn recorded(page: &str) -> String {
    let fixture = fixture();
    let hub = Server::start(fixture.path("model"));
    let mut lines = page.lines().peekable();
    let mut recorded = String::new();
    while let Some(line) = lines.next() {
        recorded += line;
        recorded += "\n";
        if let Some(words) = line.strip_prefix(PROMPT) {
            recorded += said(&fixture, &hub, words).trim_end();
            recorded += "\n";
            while lines.next_if(|line| !line.starts_with("```")).is_some() {}
        }
    }
    recorded
}

/// Text without what differs from run to run and from machine to machine.
fn masked(text: &str) -> Vec<String> {
    let line = |line: &str| {
        let line = match line.split_once("kernels for ") {
            Some((before, _)) => format!("{before}kernels"),
            None => line.to_owned(),
        };
        let mut masked = String::new();
        let mut word = String::new();
        for c in line.chars().chain([' ']) {
            if !c.is_whitespace() {
                word.push(c);
                continue;
            }
            let is_number = word.contains(|c: char| c.is_ascii_digit());
            let is_unit =
                ["s", "ms", "us", "MB", "GB"].contains(&word.trim_matches([',', ';', ')']));
            masked += match is_number || is_unit {
                true => "#",
                false => &word,
            };
            masked.push(' ');
            word.clear();
        }
        masked.replace("# #", "#").trim_end().to_owned()
    };
    text.lines().map(line).collect()
}

#[test]
fn commands_say_what_is_recorded() {
    let page = std::fs::read_to_string(page()).unwrap();
    assert_eq!(page.matches(PROMPT).count(), 5);
    let (expected, got) = (masked(&page), masked(&recorded(&page)));
    for (i, (expected, got)) in expected.iter().zip(&got).enumerate() {
        assert_eq!(got, expected, "line {} of docs/session.md", i + 1);
    }
    assert_eq!(got.len(), expected.len());
}

#[test]
#[ignore = "writes docs/session.md"]
fn record() {
    let text = std::fs::read_to_string(page()).unwrap();
    std::fs::write(page(), recorded(&text)).unwrap();
}
