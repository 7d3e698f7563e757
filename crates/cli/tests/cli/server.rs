use crate::fixture::Fixture;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Stdio};

/// The program as a server, at a port that was free.
struct Server {
    child: Child,
    address: String,
    stderr: BufReader<ChildStderr>,
}

impl Server {
    fn start(fixture: &Fixture, words: &str) -> Self {
        let mut command = fixture.command(&format!("server --model model --port 0 {words}"));
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut told = String::new();
        let address = loop {
            let mut line = String::new();
            assert!(stderr.read_line(&mut line).unwrap() > 0, "{told}");
            let serving = line.strip_prefix("Serving model at http://");
            if let Some(address) = serving.and_then(|rest| rest.trim().strip_suffix("/v1")) {
                break address.to_string();
            }
            told += &line;
        };
        Self {
            child,
            address,
            stderr,
        }
    }

    fn send(&self, path: &str, body: &Value, headers: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).unwrap();
        stream
    }

    /// Status and JSON of an answer.
    fn post(&self, body: &Value, headers: &str) -> (String, Value) {
        let mut reply = String::new();
        let mut stream = self.send("/v1/chat/completions", body, headers);
        stream.read_to_string(&mut reply).unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().to_string();
        (status, serde_json::from_str(body).unwrap())
    }

    /// Text of the answer to "hello", with further fields.
    fn answer(&self, fields: Value) -> String {
        let (status, reply) = self.post(&hello(fields), "");
        assert_eq!(status, "200", "{reply}");
        let content = &reply["choices"][0]["message"]["content"];
        content.as_str().unwrap().to_string()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn hello(fields: Value) -> Value {
    let mut body = json!({"messages": [{"role": "user", "content": "hello"}]});
    let fields = fields.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(fields);
    body
}

/// What `generate` says to "hello".
fn generated(fixture: &Fixture, words: &str) -> String {
    let words = format!("generate --model model -p hello --max-tokens 20 {words} --json");
    fixture.ok_json(&words)["text"].as_str().unwrap().to_owned()
}

#[test]
fn answers_are_those_of_generate_with_every_adapter() {
    let fixture = Fixture::new();
    fixture.train("--iters 8 --adapter-path first");
    fixture.train("--iters 8 --adapter-path second --seed 5 --learning-rate 3e-2");
    let [base, first, second] = ["", "--adapter-path first", "--adapter-path second"]
        .map(|words| generated(&fixture, words));
    assert!(base != first && base != second && first != second);
    let words = "--max-tokens 20 --adapter-path first --adapter-path two=second";
    let server = Server::start(&fixture, words);
    assert_eq!(server.answer(json!({})), first);
    assert_eq!(server.answer(json!({"model": "model"})), base);
    assert_eq!(server.answer(json!({"model": "two"})), second);
    assert_eq!(server.answer(json!({"adapters": "second"})), second);
    let (status, error) = server.post(&hello(json!({"model": "three"})), "");
    assert_eq!(status, "404");
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.contains("default_model, model, two"), "{message}");
}

#[test]
fn options_hold_where_a_request_says_nothing() {
    let fixture = Fixture::new();
    let sampled = generated(
        &fixture,
        "--temp 0.9 --top-k 50 --top-p 0.9 --min-p 0.01 --seed 3",
    );
    let words = "--temp 0.9 --top-k 50 --top-p 0.9 --min-p 0.01 --max-tokens 20 --api-key k \
                 --chat-template-args {\"x\":1} --decode-concurrency 2 --prefill-step-size 7";
    let server = Server::start(&fixture, words);
    let (status, reply) = server.post(&hello(json!({"seed": 3})), "Authorization: Bearer k\r\n");
    assert_eq!(status, "200");
    assert_eq!(reply["choices"][0]["message"]["content"], sampled);
    assert_eq!(server.post(&hello(json!({})), "").0, "401");
    let template = "{{messages[0].content}}";
    let words = format!("--max-tokens 20 --chat-template {template}");
    let server = Server::start(&fixture, &words);
    let plain = generated(&fixture, "--ignore-chat-template");
    assert_eq!(server.answer(json!({})), plain);
}

#[test]
fn what_cannot_be_served_is_told_at_once() {
    let fixture = Fixture::new();
    fixture.train("--iters 1");
    let server = "server --model model --port 0";
    let twice = format!("{server} --adapter-path adapters --adapter-path ./adapters");
    fixture.fails(&twice, 2, &["two adapters have no name", "NAME=PATH"]);
    let named = format!("{server} --adapter-path a=adapters --adapter-path a=./adapters");
    fixture.fails(&named, 2, &["\"a\""]);
    fixture.fails(
        &format!("{server} --adapter-path a=nowhere"),
        2,
        &["no adapter at nowhere"],
    );
    fixture.fails(
        &format!("{server} --chat-template {{%"),
        2,
        &["the chat template"],
    );
    fixture.fails(
        &format!("{server} --decode-concurrency 0"),
        2,
        &["at least 1"],
    );
    fixture.fails("server", 2, &["--model"]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let words = format!("server --model model --port {port}");
    fixture.fails(&words, 2, &["cannot listen at 127.0.0.1", "--port 0"]);
}

#[cfg(unix)]
#[test]
fn a_signal_finishes_answers_and_ends() {
    for name in ["-INT", "-TERM"] {
        let fixture = Fixture::new();
        fixture.edit("model/config.json", |config| {
            config["max_position_embeddings"] = 8192.into();
        });
        let mut server = Server::start(&fixture, "");
        let tokenizer = metal_candle::data::Tokenizer::from_folder(&fixture.path("model")).unwrap();
        let (_, end) = tokenizer.eos_token().unwrap();
        let bias = json!({end.to_string(): -100});
        let body = hello(json!({"stream": true, "max_tokens": 3000, "logit_bias": bias}));
        let mut stream = server.send("/v1/chat/completions", &body, "");
        stream.read_exact(&mut [0; 600]).unwrap();
        let id = server.child.id().to_string();
        let mut kill = std::process::Command::new("kill");
        assert!(kill.args([name, &id]).status().unwrap().success());
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert!(rest.contains("\"finish_reason\":\"length\""), "cut off");
        let mut told = String::new();
        server.stderr.read_to_string(&mut told).unwrap();
        assert!(told.contains("Finishing the answers"), "{told}");
        assert_eq!(server.child.wait().unwrap().code(), Some(130), "{told}");
    }
}
