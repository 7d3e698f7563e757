//! `--data OWNER/NAME` against a server of our own.

use crate::fixture::{Ended, Fixture, ended};
use crate::hub_server::{COMMIT, Reply, Request, Server, git, reply};
use serde_json::json;
use std::path::Path;

const TRAIN: &str = "train --model model --iters 1 --batch-size 2 --rank 2 --max-seq-length 90 --val-batches 1 --no-verify";

/// Files of the data set `tiny/rows`, by name and by what they are copies of.
const FILES: [(&str, &str); 3] = [
    ("main/train-00000-of-00001.parquet", "gsm8k.parquet"),
    ("main/test-00000-of-00001.parquet", "gsm8k.parquet"),
    ("other/train-00000-of-00001.parquet", "alpaca.parquet"),
];

fn golden(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../metal-candle/tests/golden/rows");
    std::fs::read(folder.join(name)).unwrap()
}

fn answer(request: &Request, names: &[&str]) -> Option<Reply> {
    let path = request.path.as_str();
    let siblings: Vec<_> = names
        .iter()
        .map(|name| json!({"rfilename": name}))
        .collect();
    let description = json!({"sha": COMMIT, "siblings": siblings}).to_string();
    if path == "/api/datasets/tiny/rows/revision/main" {
        return Some(reply(200, &[], description.as_bytes()));
    }
    let file = path.strip_prefix(&format!("/datasets/tiny/rows/resolve/{COMMIT}/"))?;
    let (_, other) = FILES.iter().find(|(name, _)| *name == file)?;
    let bytes = golden(other);
    Some(reply(
        200,
        &[("ETag", &format!("\"{}\"", git(&bytes)))],
        &bytes,
    ))
}

fn run(fixture: &Fixture, server: &Server, words: &str, offline: &str) -> Ended {
    let mut command = fixture.command(&format!("{TRAIN} --overwrite {words}"));
    command
        .env("HF_ENDPOINT", &server.endpoint)
        .env("HF_HUB_OFFLINE", offline);
    ended(command.output().unwrap())
}

#[test]
fn a_data_set_is_downloaded_and_trained() {
    let fixture = Fixture::new();
    let names = [
        "README.md",
        "main/test-00000-of-00001.parquet",
        "main/train-00000-of-00001.parquet",
    ];
    let server = Server::lying(fixture.path("model"), move |request| {
        answer(request, &names)
    });
    let expected = [
        "question/answer (question, answer)",
        "train 11 rows",
        "1 held out",
    ];
    run(&fixture, &server, "--data tiny/rows", "0").check("download", 0, &expected);
    let n_files = |server: &Server| {
        server
            .asked()
            .iter()
            .filter(|asked| asked.path.contains("/resolve/"))
            .count()
    };
    assert_eq!(n_files(&server), 2, "{:?}", server.asked());
    let n_asked = server.asked().len();
    run(&fixture, &server, "--data tiny/rows", "1").check("from the cache", 0, &expected);
    assert_eq!(server.asked().len(), n_asked);
    run(&fixture, &server, "--data no/such", "1").check(
        "offline",
        2,
        &["no/such", "HF_HUB_OFFLINE"],
    );
}

#[test]
fn a_part_of_a_data_set_is_named_by_its_folder() {
    let fixture = Fixture::new();
    let names = FILES.map(|(name, _)| name);
    let server = Server::lying(fixture.path("model"), move |request| {
        answer(request, &names)
    });
    let several = [
        "several files may be the train data",
        "main/train",
        "other/train",
    ];
    run(&fixture, &server, "--data tiny/rows", "0").check("several", 2, &several);
    let words = "--data hf://datasets/tiny/rows/other";
    run(&fixture, &server, words, "0").check("one", 0, &["alpaca (input, instruction, output)"]);
}

#[test]
fn data_sets_that_the_hub_does_not_give() {
    let fixture = Fixture::new();
    let server = Server::lying(fixture.path("model"), move |request| {
        answer(request, &["README.md"])
    });
    run(&fixture, &server, "--data tiny/rows", "0").check(
        "empty",
        2,
        &["tiny/rows", "no rows to train on", "JSONL"],
    );
    run(&fixture, &server, "--data no/such", "0").check(
        "missing",
        2,
        &["no/such", "404", "check the name"],
    );
    run(&fixture, &server, "--data nowhere/at/all", "0").check(
        "path",
        2,
        &["nowhere/at/all", "does not exist"],
    );
}
