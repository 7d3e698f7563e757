//! More clients than places, clients that leave, a model that fails, a server that stops.

use crate::client::{Reply, read};
use crate::fixture::{CHAT, COMPLETIONS, Fixture, asked, content};
use metal_candle_serve::Settings;
use serde_json::{Value, json};
use std::io::Read;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::mpsc;
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
        json!({"max_tokens": 16000, "logit_bias": bias, "stream": stream}),
    )
}

fn soon(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Reply that says that there is no place, to whichever request it comes.
fn refused(sent: &[TcpStream]) -> Reply {
    let (tell, told) = mpsc::channel();
    for stream in sent {
        let (stream, tell) = (stream.try_clone().unwrap(), tell.clone());
        std::thread::spawn(move || {
            let mut status = [0; 12];
            if stream.peek(&mut status).is_ok() && status.ends_with(b"503") {
                tell.send(read(stream)).unwrap();
            }
        });
    }
    told.recv_timeout(Duration::from_secs(60)).unwrap()
}

#[test]
fn a_full_server_says_when_to_come_again_and_who_leaves_gives_his_place() {
    for stream in [true, false] {
        let fixture = Fixture::new();
        let long = long(&fixture, stream);
        let served = fixture.start(narrow());
        let short = asked("hello", json!({"max_tokens": 2}));
        let sent: Vec<_> = (0..3).map(|_| served.send(CHAT, &long)).collect();
        let full = refused(&sent);
        assert!(full.header("retry-after").is_some());
        assert_eq!(full.json()["error"]["type"], "overloaded_error");
        let began = Instant::now();
        for stream in sent {
            // The other end of a clone is the same.
            let _ = stream.shutdown(Shutdown::Both);
        }
        soon("places are free", || {
            served.post(CHAT, &short).status == 200
        });
        let elapsed = began.elapsed();
        assert!(elapsed < Duration::from_secs(10), "{elapsed:?}");
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
    // As many as fail here: a place that is not given back is missed at the end.
    let served = fixture.start(Settings {
        concurrency: 2,
        ..Settings::default()
    });
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
