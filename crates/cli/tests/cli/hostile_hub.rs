//! Downloads from a hub that lies, breaks off or falls silent: an error or a second attempt, and never a wrong file under
//! its name.

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

#[test]
fn a_body_that_breaks_off_is_continued() {
    let cut = |request: &Request, weights: &[u8]| {
        let length = weights.len().to_string();
        let etag = etag(weights);
        let headers = [
            ("Content-Length", length.as_str()),
            ("X-Linked-Etag", etag.as_str()),
        ];
        (request.range.is_none()).then(|| raw(200, &headers, &weights[..1000]))
    };
    let asked = recovers(None, cut);
    assert_eq!(asked.last().unwrap().range, Some(1000));
    fails(
        move |request, weights| {
            cut(
                &Request {
                    range: None,
                    ..request.clone()
                },
                weights,
            )
        },
        &["cannot be downloaded", "attempt 3 of 3"],
    );
}

#[test]
fn a_wrong_hash_is_told_and_nothing_is_kept() {
    let fixture = Fixture::new();
    let weights = std::fs::read(fixture.path("model").join(WEIGHTS)).unwrap();
    let server = lying_about_weights(&fixture, |_, weights| {
        Some(reply(
            200,
            &[("X-Linked-Etag", &etag(weights))],
            &flipped(weights),
        ))
    });
    let (expected, got) = (sha256(&weights), sha256(&flipped(&weights)));
    let words = format!("expected sha256 {expected}, got sha256 {got}");
    fetch(&fixture, &server).check("hash", 1, &[&words, "arrives damaged"]);
    assert!(!snapshot(&fixture, WEIGHTS).exists());
    assert!(!snapshot(&fixture, "model.safetensors.part").exists());
    // Once more, and no more.
    assert_eq!(
        server
            .asked()
            .iter()
            .filter(|request| request.path.ends_with(WEIGHTS))
            .count(),
        2
    );
    recovers(None, |request, weights| {
        let damaged = reply(200, &[("X-Linked-Etag", &etag(weights))], &flipped(weights));
        (request.n_before == 0).then_some(damaged)
    });
}

#[test]
fn a_wrong_part_is_not_appended() {
    for range in [
        "bytes 0-9/10",
        "bytes 999-1000/2000",
        "bytes 1001-1002/1003",
        "nonsense",
    ] {
        let asked = recovers(Some(1000), move |request, weights| {
            request.range.map(|from| {
                reply(
                    206,
                    &[("X-Linked-Etag", &etag(weights)), ("Content-Range", range)],
                    &weights[from - 500..],
                )
            })
        });
        assert_eq!(asked.last().unwrap().range, None, "{range}");
    }
    // What lay there was another file's.
    let fixture = Fixture::new();
    let weights = std::fs::read(fixture.path("model").join(WEIGHTS)).unwrap();
    let part = snapshot(&fixture, "model.safetensors.part");
    std::fs::create_dir_all(part.parent().unwrap()).unwrap();
    for wrong in [
        vec![7; 1000],
        vec![7; weights.len()],
        vec![7; weights.len() + 5],
    ] {
        std::fs::write(&part, wrong).unwrap();
        let _ = std::fs::remove_file(snapshot(&fixture, WEIGHTS));
        let server = Server::start(fixture.path("model"));
        fetch(&fixture, &server).check("another file's part", 0, &[]);
        assert!(std::fs::read(snapshot(&fixture, WEIGHTS)).unwrap() == weights);
    }
}

#[test]
fn answers_that_are_none() {
    fails(
        |_, weights| Some(reply(206, &[], weights)),
        &["which nobody asked for"],
    );
    fails(
        |_, weights| Some(reply(200, &[("Content-Encoding", "gzip")], weights)),
        &["another encoding"],
    );
    fails(
        |_, _| Some(vec![Piece::Bytes(b"garbage\r\n\r\n".to_vec())]),
        &["cannot be downloaded"],
    );
    fails(|_, _| Some(vec![]), &["cannot be downloaded"]);
    fails(
        |_, _| {
            Some(vec![Piece::Bytes(
                [b"HTTP/1.1 200 X\r\nA: ".to_vec(), vec![b'x'; 1 << 20]].concat(),
            )])
        },
        &["cannot be downloaded"],
    );
    fails(
        |_, _| Some(reply(503, &[], b"")),
        &["503", "attempt 2 of 3"],
    );
    fails(|_, _| Some(reply(302, &[], b"")), &["302"]);
    fails(|_, _| Some(reply(204, &[], b"")), &["204"]);
    fails(
        |_, _| Some(reply(200, &[], b"<html>log in</html>")),
        &["not a safetensors file"],
    );
    fails(
        |_, weights| Some(reply(200, &[("X-Linked-Size", "5")], weights)),
        &["two sizes"],
    );
    fails(
        |_, weights| Some(reply(200, &[], &weights[..weights.len() - 4])),
        &["by its header"],
    );
}

#[test]
fn a_body_without_a_length() {
    let chunked = |weights: &[u8], end: &[u8]| {
        let size = format!("{:x}\r\n", weights.len());
        [size.as_bytes(), weights, b"\r\n", end].concat()
    };
    recovers(None, move |_, weights| {
        Some(raw(
            200,
            &[("Transfer-Encoding", "chunked")],
            &chunked(weights, b"0\r\n\r\n"),
        ))
    });
    // No end: what is announced is enough.
    fails(
        move |_, weights| {
            let size = weights.len().to_string();
            let headers = [
                ("Transfer-Encoding", "chunked"),
                ("X-Linked-Size", size.as_str()),
            ];
            Some(raw(
                200,
                &headers,
                &chunked(&[weights, weights].concat(), b""),
            ))
        },
        &["more than the"],
    );
    recovers(None, |_, weights| Some(raw(200, &[], weights)));
}

#[test]
fn silence_ends_and_slowness_does_not() {
    let head = |weights: &[u8]| {
        raw(
            200,
            &[("Content-Length", &weights.len().to_string())],
            &weights[..10],
        )
    };
    let stalled = move |_: &Request, weights: &[u8]| {
        let mut stalled = head(weights);
        stalled.push(Piece::Wait(Duration::from_secs(60)));
        Some(stalled)
    };
    fails(stalled, &["timeout", "attempt 3 of 3"]);
    fails(
        |_, _| Some(vec![Piece::Wait(Duration::from_secs(60))]),
        &["timeout"],
    );
    recovers(None, move |request, weights| {
        (request.n_before == 0)
            .then(|| stalled(request, weights))
            .flatten()
    });
    recovers(None, move |_, weights| {
        let mut slow = head(weights);
        for part in weights[10..].chunks(weights.len() / 8) {
            slow.extend([
                Piece::Wait(Duration::from_millis(200)),
                Piece::Bytes(part.to_vec()),
            ]);
        }
        Some(slow)
    });
}

#[test]
fn a_token_is_for_the_hub_alone() {
    let fixture = Fixture::new();
    // Where weights lie: another port, so another server.
    let store = Server::start(fixture.path("model"));
    let elsewhere = store.endpoint.clone();
    let weights = std::fs::read(fixture.path("model").join(WEIGHTS)).unwrap();
    let etag = etag(&weights);
    let hub = lying_about_weights(&fixture, move |request, _| {
        let (etag, path) = (("X-Linked-Etag", etag.as_str()), &request.path);
        match request.n_before {
            0 => Some(reply(307, &[("Location", path)], b"")),
            _ => Some(reply(
                302,
                &[("Location", &format!("{elsewhere}{path}")), etag],
                b"",
            )),
        }
    });
    fetch(&fixture, &hub).check("redirected", 0, &[]);
    assert!(hub.asked().iter().all(|request| request.has_token));
    let asked = store.asked();
    assert!(asked.len() == 1 && !asked[0].has_token, "{asked:?}");
}

#[test]
fn the_hash_of_the_hub_holds_for_the_other_server() {
    let fixture = Fixture::new();
    let store = lying_about_weights(&fixture, |_, weights| {
        // It says what it likes of itself.
        Some(reply(
            200,
            &[("X-Linked-Etag", &etag(&flipped(weights)))],
            &flipped(weights),
        ))
    });
    let elsewhere = store.endpoint.clone();
    let hub = lying_about_weights(&fixture, move |request, weights| {
        let location = format!("{elsewhere}{}", request.path);
        Some(reply(
            302,
            &[("Location", &location), ("X-Linked-Etag", &etag(weights))],
            b"",
        ))
    });
    fetch(&fixture, &hub).check("another file", 1, &["expected sha256", "got sha256"]);
    assert!(!snapshot(&fixture, WEIGHTS).exists());
}

#[test]
fn redirects_that_lead_nowhere() {
    fails(
        |request, _| Some(reply(302, &[("Location", &request.path)], b"")),
        &["more than 10 redirects"],
    );
    for location in [
        "ftp://127.0.0.1/x",
        "http://",
        "file:///etc/passwd",
        "http://[/",
    ] {
        fails(
            move |_, _| Some(reply(302, &[("Location", location)], b"")),
            &["not an address"],
        );
    }
}

/// What the hub describes instead.
fn described(answer: Reply) -> (Fixture, Ended) {
    let fixture = Fixture::new();
    let answer = std::sync::Mutex::new(Some(answer));
    let server = Server::lying(fixture.path("model"), move |request| {
        let is_description = request.path.starts_with("/api/");
        is_description
            .then(|| answer.lock().unwrap().take())
            .flatten()
    });
    let ended = fetch(&fixture, &server);
    (fixture, ended)
}

#[test]
fn descriptions_that_are_none() {
    let fails = |body: &[u8], code, expected: &[&str]| {
        let (fixture, ended) = described(reply(200, &[], body));
        ended.check("description", code, expected);
        assert!(!snapshot(&fixture, WEIGHTS).exists());
    };
    fails(
        b"<html>log in</html>",
        1,
        &["not the description of a model"],
    );
    fails(b"{\"sha\": 1}", 1, &["not the description of a model"]);
    fails(
        "[".repeat(100_000).as_bytes(),
        1,
        &["not the description of a model"],
    );
    for sha in ["", "..", "../../../x", "/etc", "a\0b", "nul", "a b"] {
        let body = serde_json::json!({"sha": sha, "siblings": []}).to_string();
        fails(body.as_bytes(), 1, &["not a commit"]);
    }
    let kinds: [(&[&str], &str, &str); 6] = [
        (
            &["adapter_config.json", "adapter_model.safetensors"],
            "is an adapter, not a model",
            "--adapter-path",
        ),
        (
            &["config.json", "tokenizer.json", "a.Q4_K_M.gguf"],
            "GGUF",
            "converted from",
        ),
        (
            &["config.json", "tokenizer.json", "pytorch_model.bin"],
            "PyTorch pickles",
            "safetensors",
        ),
        (
            &["config.json", "tokenizer.json", "weights.npz"],
            "MLX",
            "safetensors",
        ),
        (
            &["config.json", "tokenizer.json"],
            "no safetensors",
            "model.safetensors",
        ),
        (
            &["config.json", "tokenizer.model", WEIGHTS],
            "no tokenizer.json",
            "tokenizer.model only",
        ),
    ];
    for (names, what, advice) in kinds {
        fails(&description(names.iter().copied()), 2, &[what, advice]);
    }
}

#[test]
fn a_description_has_an_end() {
    let endless = vec![Piece::Bytes(
        b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n{\"sha\": \"".to_vec(),
    )];
    let endless = endless
        .into_iter()
        .chain((0..140).map(|_| Piece::Bytes(vec![b'a'; 1 << 20])));
    let (_, ended) = described(endless.collect());
    // The next attempt hears the truth.
    ended.check("endless", 0, &["attempt 2 of 3"]);
}

#[test]
fn names_of_other_folders_are_not_fetched() {
    let names = [
        "../x.json",
        "/etc/passwd",
        "a\0b",
        "CON",
        "..\\LICENSE",
        "additional_chat_templates/../../x.jinja",
    ];
    let all = names.into_iter().chain([
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        WEIGHTS,
    ]);
    let (fixture, ended) = described(reply(200, &[], &description(all)));
    ended.check("odd names", 0, &[]);
    let entries = snapshot(&fixture, "").read_dir().unwrap();
    let mut found: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    found.sort();
    assert_eq!(
        found,
        [
            "config.json",
            WEIGHTS,
            "tokenizer.json",
            "tokenizer_config.json"
        ]
    );
    // The same of an index.
    let fixture = Fixture::new();
    std::fs::remove_file(fixture.path("model").join(WEIGHTS)).unwrap();
    for name in [
        "../model.safetensors",
        "/etc/passwd",
        "x/model.safetensors",
        "model.bin",
    ] {
        let index = serde_json::json!({"weight_map": {"model.norm.weight": name}});
        fixture.write("model/model.safetensors.index.json", &index.to_string());
        let server = Server::start(fixture.path("model"));
        fetch(&fixture, &server).check(name, 2, &["names no safetensors file of its folder", name]);
        std::fs::remove_dir_all(fixture.path("hf")).unwrap();
    }
}

#[test]
fn a_single_file_is_taken_and_companions_come_along() {
    let fixture = Fixture::new();
    fixture.write(
        "model/model.safetensors.index.json",
        "{\"weight_map\": {\"a\": \"model-1.safetensors\"}}",
    );
    for name in [
        "LICENSE",
        "tokenizer.model",
        "added_tokens.json",
        "README.md",
    ] {
        fixture.write(&format!("model/{name}"), "{}");
    }
    let server = Server::start(fixture.path("model"));
    fetch(&fixture, &server).check("single", 0, &[]);
    for (name, is_there) in [
        ("LICENSE", true),
        ("tokenizer.model", true),
        ("added_tokens.json", true),
        (WEIGHTS, true),
        ("README.md", false),
        ("model.safetensors.index.json", false),
    ] {
        assert_eq!(snapshot(&fixture, name).exists(), is_there, "{name}");
    }
}

#[test]
fn a_damaged_file_of_the_cache_is_fetched_again() {
    let fixture = Fixture::new();
    let server = Server::start(fixture.path("model"));
    fetch(&fixture, &server).check("first", 0, &[]);
    for name in [WEIGHTS, "config.json", "tokenizer.json"] {
        let path = snapshot(&fixture, name);
        let good = std::fs::read(&path).unwrap();
        std::fs::write(&path, &good[..good.len() / 2]).unwrap();
        let mut offline = fixture.command("generate --model tiny/model -p x");
        offline.env("HF_HUB_OFFLINE", "1");
        ended(offline.output().unwrap()).check(name, 2, &["not complete in the cache", name]);
        fetch(&fixture, &server).check(name, 0, &[name, "it is fetched again"]);
        assert!(std::fs::read(&path).unwrap() == good);
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_other_tools_fetched_has_the_hash_of_its_name() {
    let fixture = Fixture::new();
    let server = Server::start(fixture.path("model"));
    fetch(&fixture, &server).check("first", 0, &[]);
    let path = snapshot(&fixture, "tokenizer_config.json");
    let config = snapshot(&fixture, "config.json");
    let good = std::fs::read(&config).unwrap();
    let blob = fixture
        .path("hf/hub/models--tiny--model/blobs")
        .join(git(&good));
    std::fs::create_dir_all(blob.parent().unwrap()).unwrap();
    std::fs::rename(&config, &blob).unwrap();
    std::os::unix::fs::symlink(&blob, &config).unwrap();
    let n_asked = server.asked().len();
    fetch(&fixture, &server).check("as it was", 0, &[]);
    assert_eq!(server.asked().len(), n_asked);
    // A blank more: JSON still, and the same model.
    std::fs::write(&blob, [good.as_slice(), b" "].concat()).unwrap();
    fetch(&fixture, &server).check(
        "changed",
        0,
        &["config.json: expected git's sha1", "fetched again"],
    );
    assert!(std::fs::read(&config).unwrap() == good && !config.is_symlink() && path.exists());
}
