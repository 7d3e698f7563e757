//! A hub of our own with the one model `tiny/model`, which notes what it is asked for and lies where a test wants it.

use serde_json::json;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    /// First byte of the range.
    pub range: Option<usize>,
    pub has_token: bool,
    /// How often the path was asked for before.
    pub n_before: usize,
}

/// Bytes of an answer, and pauses.
pub enum Piece {
    Bytes(Vec<u8>),
    Wait(Duration),
}

pub type Reply = Vec<Piece>;

type Lie = dyn Fn(&Request) -> Option<Reply> + Send + Sync;

pub struct Server {
    pub endpoint: String,
    pub asked: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// A server that tells the truth about the files of `folder`.
    pub fn start(folder: PathBuf) -> Self {
        Self::lying(folder, |_| None)
    }

    /// A server that answers with what `lie` gives, and with the truth where it gives nothing.
    pub fn lying(
        folder: PathBuf,
        lie: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(vec![]));
        let (log, lie): (_, Arc<Lie>) = (asked.clone(), Arc::new(lie));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (log, lie, folder) = (log.clone(), lie.clone(), folder.clone());
                std::thread::spawn(move || answer(stream.unwrap(), &folder, &log, &*lie));
            }
        });
        Self { endpoint, asked }
    }

    pub fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }
}

fn answer(mut stream: TcpStream, folder: &std::path::Path, log: &Mutex<Vec<Request>>, lie: &Lie) {
    let Some(mut request) = read_request(&stream) else {
        return;
    };
    {
        let mut log = log.lock().unwrap();
        request.n_before = log
            .iter()
            .filter(|other| other.path == request.path)
            .count();
        log.push(request.clone());
    }
    let reply = lie(&request).unwrap_or_else(|| truth(folder, &request));
    for piece in reply {
        match piece {
            // Who has heard enough goes away.
            Piece::Bytes(bytes) if stream.write_all(&bytes).is_err() => return,
            Piece::Bytes(_) => {}
            Piece::Wait(time) => std::thread::sleep(time),
        }
    }
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let head: Vec<String> = lines
        .map(|line| line.unwrap_or_default())
        .take_while(|line| !line.is_empty())
        .collect();
    let header = |name: &str| {
        let mut lines = head.iter().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    };
    let range = header("range").and_then(|range| range.strip_prefix("bytes="));
    Some(Request {
        path: head.first()?.split(' ').nth(1)?.to_string(),
        range: range.and_then(|range| range.strip_suffix('-')?.parse().ok()),
        has_token: header("authorization").is_some_and(|value| value.starts_with("Bearer ")),
        n_before: 0,
    })
}

/// An answer with these headers, and the length of the body among them.
pub fn reply(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let length = body.len().to_string();
    let all = [headers, &[("Content-Length", length.as_str())]].concat();
    raw(status, &all, body)
}

/// An answer with no other headers than these.
pub fn raw(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let headers: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let head = format!("HTTP/1.1 {status} X\r\n{headers}Connection: close\r\n\r\n");
    vec![Piece::Bytes([head.as_bytes(), body].concat())]
}

fn truth(folder: &std::path::Path, request: &Request) -> Reply {
    let (status, body) = body(folder, &request.path);
    let etag = match request.path.ends_with(".safetensors") {
        true => ("X-Linked-Etag", format!("\"{}\"", sha256(&body))),
        false => ("ETag", format!("\"{}\"", git(&body))),
    };
    match request.range {
        Some(from) if status == 200 && from >= body.len() => reply(416, &[], b""),
        Some(from) if status == 200 => {
            let range = format!("bytes {from}-{}/{}", body.len() - 1, body.len());
            reply(
                206,
                &[(etag.0, &etag.1), ("Content-Range", &range)],
                &body[from..],
            )
        }
        _ => reply(status, &[(etag.0, &etag.1)], &body),
    }
}

fn body(folder: &std::path::Path, path: &str) -> (u16, Vec<u8>) {
    if path == "/api/models/tiny/model/revision/main" {
        let names = folder
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        return (200, description(names));
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

/// The description of a model with these files.
pub fn description(names: impl IntoIterator<Item = impl Into<String>>) -> Vec<u8> {
    let siblings: Vec<_> = names
        .into_iter()
        .map(|name| json!({"rfilename": name.into()}))
        .collect();
    json!({"sha": COMMIT, "siblings": siblings, "id": "tiny/model"})
        .to_string()
        .into_bytes()
}

pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// `git hash-object`.
pub fn git(bytes: &[u8]) -> String {
    let header = format!("blob {}\0", bytes.len());
    hex(&Sha1::new_with_prefix(header).chain_update(bytes).finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
