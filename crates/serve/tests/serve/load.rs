//! More clients than places, clients that leave, a model that fails, a server that stops.

use crate::client::read;
use crate::fixture::{CHAT, COMPLETIONS, Fixture, asked, content};
use metal_candle_serve::Settings;
use serde_json::{Value, json};
use std::io::Read;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// One text at a time, and one that may wait.
fn narrow() -> Settings {
    Settings {
        concurrency: 1,
        queue: 1,
        ..Settings::default()
    }
}

/// A request whose answer takes long: the end is kept away.
fn long(fixture: &Fixture, stream: bool) -> Value {
    let end = fixture.tokenizer().token_to_id("<|im_end|>").unwrap();
    let bias = json!({end.to_string(): -100});
    asked(
        "hello",
        json!({"max_tokens": 3000, "logit_bias": bias, "stream": stream}),
    )
}

fn soon(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_full_server_says_when_to_come_again_and_who_leaves_gives_his_place() {
    for stream in [true, false] {
        let fixture = Fixture::new();
        let long = long(&fixture, stream);
        let served = fixture.start(narrow());
        let short = asked("hello", json!({"max_tokens": 2}));
        let (first, second) = (served.send(CHAT, &long), served.send(CHAT, &long));
        let mut full = None;
        soon("both have come", || {
            let reply = served.post(CHAT, &short);
            (reply.status == 503).then(|| full = Some(reply)).is_some()
        });
        let full = full.unwrap();
        assert!(full.header("retry-after").is_some());
        assert_eq!(full.json()["error"]["type"], "overloaded_error");
        let began = Instant::now();
        drop((first, second));
        soon("places are free", || {
            served.post(CHAT, &short).status == 200
        });
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
    }
}

#[test]
fn a_request_for_more_texts_than_places_is_refused() {
    let served = Fixture::new().start(narrow());
    let reply = served.post(COMPLETIONS, &json!({"prompt": ["a", "b", "c"]}));
    assert_eq!(reply.status, 400);
    assert_eq!(
        served.chat("hello", json!({"n": 2}))["choices"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

/// A model whose weights are broken for one token only.
#[test]
fn a_text_that_fails_is_told_and_others_go_on() {
    let mut fixture = Fixture::new();
    let broken = *fixture.tokenizer().encode("é").unwrap().last().unwrap();
    for (path, matrix) in fixture.model.model.decoder.matrices_mut() {
        if path == "model.embed_tokens" {
            let mut rows: Vec<Vec<f32>> = matrix.tensor().unwrap().to_vec2().unwrap();
            rows[broken as usize][0] = f32::INFINITY;
            *matrix = candle_core::Tensor::new(rows, &candle_core::Device::Cpu)
                .unwrap()
                .into();
        }
    }
    let served = fixture.start(Settings::default());
    let good = served.chat("hello", json!({}));
    let others = served.send(CHAT, &asked("hello", json!({})));
    let reply = served.post(CHAT, &asked("é", json!({})));
    let error = &reply.json()["error"];
    assert_eq!(
        (reply.status, &error["type"]),
        (500, &json!("server_error"))
    );
    assert!(
        error["message"].as_str().unwrap().contains("logits"),
        "{error}"
    );
    assert_eq!(content(&read(others).json()), content(&good));
    // A stream has begun by then: the error is its last line.
    let reply = served.post(CHAT, &asked("é", json!({"stream": true})));
    assert_eq!(reply.status, 200);
    let last = reply.body.trim_end().rsplit("data: ").next().unwrap();
    let error: Value = serde_json::from_str(last).unwrap();
    assert_eq!(error["error"]["type"], "server_error");
    assert_eq!(served.chat("hello", json!({}))["choices"], good["choices"]);
}

#[test]
fn a_server_that_stops_finishes_what_runs() {
    let fixture = Fixture::new();
    let mut body = long(&fixture, true);
    body["max_tokens"] = 2000.into();
    let mut served = fixture.start(narrow());
    let mut running = served.send(CHAT, &body);
    let mut begun = [0];
    running.read_exact(&mut begun).unwrap();
    let waiting = served.send(CHAT, &asked("hello", json!({})));
    std::thread::sleep(Duration::from_millis(50));
    served.stop.store(true, Ordering::Relaxed);
    let waited = read(waiting);
    assert_eq!(waited.status, 503, "{}", waited.body);
    let mut rest = String::new();
    running.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("\"finish_reason\":\"length\""), "{rest}");
    assert!(rest.contains("data: [DONE]"), "{rest}");
    served.join();
    assert!(std::net::TcpStream::connect(served.address).is_err());
}
