//! A client of a few lines: one request a connection.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What came back.
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    /// Values of a stream, which must end as one does.
    pub fn pieces(&self) -> Vec<Value> {
        let lines = self.body.split("\n\n").filter(|line| !line.is_empty());
        let mut data: Vec<&str> = lines
            .filter_map(|line| line.strip_prefix("data: "))
            .collect();
        assert_eq!(data.pop(), Some("[DONE]"), "{}", self.body);
        let values = data.into_iter().map(serde_json::from_str);
        values.collect::<Result<_, _>>().unwrap()
    }
}

/// Sends a request, whose answer may be read.
pub fn send(address: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(120)))
        .unwrap();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    stream.write_all((head + body).as_bytes()).unwrap();
    stream
}

/// Reads a whole answer.
pub fn read(stream: TcpStream) -> Reply {
    let mut reader = BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        line.trim_end().to_string()
    };
    let status = line().split(' ').nth(1).unwrap().parse().unwrap();
    let head = std::iter::from_fn(|| Some(line()).filter(|line| !line.is_empty()));
    let headers: Vec<(String, String)> = head
        .map(|line| {
            line.split_once(": ")
                .map(|(a, b)| (a.into(), b.into()))
                .unwrap()
        })
        .collect();
    let mut body = vec![];
    reader.read_to_end(&mut body).unwrap();
    let mut reply = Reply {
        status,
        headers,
        body: String::new(),
    };
    let is_chunked = reply.header("transfer-encoding") == Some("chunked");
    reply.body = String::from_utf8(if is_chunked { joined(&body) } else { body }).unwrap();
    reply
}

/// Chunks of a body behind each other.
fn joined(mut body: &[u8]) -> Vec<u8> {
    let mut joined = vec![];
    loop {
        let end = body.windows(2).position(|two| two == b"\r\n").unwrap();
        let length = std::str::from_utf8(&body[..end]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return joined;
        }
        joined.extend(&body[end + 2..end + 2 + length]);
        body = &body[end + 4 + length..];
    }
}
