//! `--model OWNER/NAME` against a server of our own.

use crate::fixture::{Fixture, ended};
use serde_json::json;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A hub with the one model `tiny/model`, which notes what it is asked for.
struct Server {
    endpoint: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(folder: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(vec![]));
        let log = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let log = log.clone();
                let folder = folder.clone();
                std::thread::spawn(move || answer(stream.unwrap(), &folder, &log));
            }
        });
        Self { endpoint, asked }
    }

    fn n_asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

fn answer(mut stream: TcpStream, folder: &Path, log: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let head: Vec<String> = lines
        .by_ref()
        .map(|line| line.unwrap_or_default())
        .take_while(|line| !line.is_empty())
        .collect();
    let Some(path) = head.first().and_then(|line| line.split(' ').nth(1)) else {
        return;
    };
    let range = head.iter().find_map(|line| {
        let value = line
            .to_lowercase()
            .strip_prefix("range: bytes=")?
            .to_string();
        value.strip_suffix('-')?.parse::<usize>().ok()
    });
    let authorised = head
        .iter()
        .any(|line| line.to_lowercase().starts_with("authorization: bearer"));
    log.lock()
        .unwrap()
        .push(format!("{path} {range:?} {authorised}"));
    let (status, body) = body(folder, path);
    let (status, body) = match range {
        Some(from) if status == 200 => (206, body[from..].to_vec()),
        _ => (status, body),
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body).unwrap();
}

fn body(folder: &Path, path: &str) -> (u16, Vec<u8>) {
    if path == "/api/models/tiny/model/revision/main" {
        let names = folder
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let siblings: Vec<_> = names.map(|name| json!({"rfilename": name})).collect();
        let description = json!({"sha": COMMIT, "siblings": siblings, "id": "tiny/model"});
        return (200, description.to_string().into_bytes());
    }
    if path.contains("/gated/") {
        return (401, vec![]);
    }
    let file = path.strip_prefix(&format!("/tiny/model/resolve/{COMMIT}/"));
    match file.map(|file| std::fs::read(folder.join(file))) {
        Some(Ok(bytes)) => (200, bytes),
        _ => (404, vec![]),
    }
}

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
    let n_asked = server.n_asked();
    assert!(n_asked > 4);
    assert!(
        server
            .asked
            .lock()
            .unwrap()
            .iter()
            .all(|asked| asked.ends_with("true"))
    );
    let second = run("HF_HUB_OFFLINE", "1");
    second.check("from the cache", 0, &[]);
    assert_eq!(server.n_asked(), n_asked);
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
    let asked = server.asked.lock().unwrap();
    assert!(
        asked
            .iter()
            .any(|asked| asked.contains("model.safetensors Some(1000)")),
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
