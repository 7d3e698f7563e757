//! Downloads from a hub that lies, breaks off or falls silent: an error or a second attempt, and never a wrong file under
//! its name.

mod answers;
mod bodies;
mod cache;
mod descriptions;

use crate::fixture::{Ended, Fixture, ended};
use crate::hub_server::{
    COMMIT, Piece, Reply, Request, Server, description, git, raw, reply, sha256,
};
use std::path::PathBuf;
use std::time::{Duration, Instant};

const WEIGHTS: &str = "model.safetensors";

fn snapshot(fixture: &Fixture, file: &str) -> PathBuf {
    let folder = fixture.path("hf/hub/models--tiny--model/snapshots");
    folder.join(COMMIT).join(file)
}

fn fetch(fixture: &Fixture, server: &Server) -> Ended {
    let mut command = fixture.command("generate --model tiny/model -p hello --max-tokens 2 --json");
    command
        .env("HF_ENDPOINT", &server.endpoint)
        .env("HF_TOKEN", "secret");
    command.env("HF_HUB_DOWNLOAD_TIMEOUT", "0.5");
    let started = Instant::now();
    let ended = ended(command.output().unwrap());
    assert!(
        started.elapsed() < Duration::from_secs(30),
        "{:?}",
        started.elapsed()
    );
    ended
}

/// Lets the hub answer a request for the weights with what `lie` makes of them.
fn lying_about_weights(
    fixture: &Fixture,
    lie: impl Fn(&Request, &[u8]) -> Option<Reply> + Send + Sync + 'static,
) -> Server {
    let weights = std::fs::read(fixture.path("model").join(WEIGHTS)).unwrap();
    Server::lying(fixture.path("model"), move |request| {
        let is_weights = request.path.ends_with(WEIGHTS);
        is_weights.then(|| lie(request, &weights)).flatten()
    })
}

/// The download fails with these words and leaves no file.
fn fails(
    lie: impl Fn(&Request, &[u8]) -> Option<Reply> + Send + Sync + 'static,
    expected: &[&str],
) {
    let fixture = Fixture::new();
    let server = lying_about_weights(&fixture, lie);
    let ended = fetch(&fixture, &server);
    ended.check(expected[0], 1, expected);
    assert!(ended.stderr.contains("help: "), "{}", ended.stderr);
    assert!(!snapshot(&fixture, WEIGHTS).exists());
}

/// The download succeeds after a lie, and the file is the right one. `part` of it lie there before.
fn recovers(
    part: Option<usize>,
    lie: impl Fn(&Request, &[u8]) -> Option<Reply> + Send + Sync + 'static,
) -> Vec<Request> {
    let fixture = Fixture::new();
    let weights = std::fs::read(fixture.path("model").join(WEIGHTS)).unwrap();
    if let Some(n) = part {
        let path = snapshot(&fixture, "model.safetensors.part");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &weights[..n]).unwrap();
    }
    let server = lying_about_weights(&fixture, lie);
    fetch(&fixture, &server).check("recovers", 0, &[]);
    assert!(std::fs::read(snapshot(&fixture, WEIGHTS)).unwrap() == weights);
    let asked = server.asked().into_iter();
    asked
        .filter(|request| request.path.ends_with(WEIGHTS))
        .collect()
}

fn flipped(weights: &[u8]) -> Vec<u8> {
    let mut weights = weights.to_vec();
    *weights.last_mut().unwrap() ^= 1;
    weights
}

fn etag(weights: &[u8]) -> String {
    format!("\"{}\"", sha256(weights))
}
