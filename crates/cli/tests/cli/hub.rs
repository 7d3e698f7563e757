//! `--model OWNER/NAME` against a server of our own.

use crate::fixture::{Fixture, ended};
use crate::hub_server::{COMMIT, Server};
use std::path::PathBuf;

const WORDS: &str = "generate --model tiny/model -p hello --max-tokens 2 --json";

fn snapshot(fixture: &Fixture) -> PathBuf {
    fixture
        .path("hf/hub/models--tiny--model/snapshots")
        .join(COMMIT)
}

#[test]
fn a_model_is_downloaded_once_and_then_needs_no_network() {
    let fixture = Fixture::new();
    let server = Server::start(fixture.path("model"));
    let run = |name: &str, value: &str| {
        let mut command = fixture.command(WORDS);
        command
            .env("HF_ENDPOINT", &server.endpoint)
            .env(name, value);
        ended(command.output().unwrap())
    };
    let first = run("HF_TOKEN", "secret");
    first.check("download", 0, &[]);
    let n_asked = server.asked().len();
    assert!(n_asked > 4);
    assert!(server.asked().iter().all(|asked| asked.has_token));
    let second = run("HF_HUB_OFFLINE", "1");
    second.check("from the cache", 0, &[]);
    assert_eq!(server.asked().len(), n_asked);
    let ids = |ended: &crate::fixture::Ended| {
        serde_json::from_str::<serde_json::Value>(&ended.stdout).unwrap()["token_ids"].clone()
    };
    assert_eq!(ids(&first), ids(&second));
    // Nothing but what belongs there.
    let names = snapshot(&fixture)
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert!(
        names
            .into_iter()
            .all(|name| !name.to_string_lossy().ends_with(".part"))
    );
}

#[test]
fn an_interrupted_download_goes_on() {
    let fixture = Fixture::new();
    let server = Server::start(fixture.path("model"));
    let bytes = std::fs::read(fixture.path("model/model.safetensors")).unwrap();
    std::fs::create_dir_all(snapshot(&fixture)).unwrap();
    std::fs::write(
        snapshot(&fixture).join("model.safetensors.part"),
        &bytes[..1000],
    )
    .unwrap();
    let mut command = fixture.command(WORDS);
    command.env("HF_ENDPOINT", &server.endpoint);
    ended(command.output().unwrap()).check("download", 0, &[]);
    assert_eq!(
        std::fs::read(snapshot(&fixture).join("model.safetensors")).unwrap(),
        bytes
    );
    let asked = server.asked();
    let is_rest = |path: &str, range| path.ends_with("/model.safetensors") && range == Some(1000);
    assert!(
        asked.iter().any(|asked| is_rest(&asked.path, asked.range)),
        "{asked:?}"
    );
}

#[test]
fn offline_names_the_cache_and_what_is_missing() {
    let fixture = Fixture::new();
    let mut command = fixture.command(WORDS);
    command.env("HF_HUB_OFFLINE", "1");
    let cache = fixture.path("hf/hub").display().to_string();
    let ended = ended(command.output().unwrap());
    ended.check("offline", 2, &["HF_HUB_OFFLINE", &cache, "no config.json"]);
}

#[test]
fn no_network_names_the_cache() {
    let fixture = Fixture::new();
    let mut command = fixture.command(WORDS);
    // Nobody listens on the discard port.
    command.env("HF_ENDPOINT", "http://127.0.0.1:9");
    let cache = fixture.path("hf/hub").display().to_string();
    let ended = ended(command.output().unwrap());
    ended.check(
        "no network",
        1,
        &["no folder tiny/model", &cache, "cannot be downloaded"],
    );
    assert!(!snapshot(&fixture).exists());
}

#[test]
fn models_that_the_hub_does_not_give() {
    let fixture = Fixture::new();
    let server = Server::start(fixture.path("model"));
    let run = |name: &str| {
        let mut command = fixture.command(&format!("generate --model {name} -p x"));
        command.env("HF_ENDPOINT", &server.endpoint);
        ended(command.output().unwrap())
    };
    run("no/such").check("missing", 2, &["no/such", "404", "check the name"]);
    run("gated/model").check("gated", 2, &["401", "HF_TOKEN"]);
    std::fs::remove_file(fixture.path("model/tokenizer.json")).unwrap();
    run("tiny/model").check("incomplete", 2, &["has no tokenizer.json"]);
}
