//! Replies as server-sent events.

use super::Reply;
use crate::body;
use crate::job::Event;
use crate::request::Endpoint;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::stream::unfold;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

/// Silence after which a line says that the connection is in use.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

struct Stream {
    reply: Reply,
    events: UnboundedReceiver<Event>,
    /// Lines that are ready.
    lines: VecDeque<String>,
    has_ended: bool,
}

/// A response that tells what comes as it comes. A client that leaves drops it, and with it where events go.
pub fn streamed(reply: Reply, events: UnboundedReceiver<Event>) -> Response {
    let mut stream = Stream {
        lines: VecDeque::new(),
        has_ended: false,
        reply,
        events,
    };
    stream.open();
    let lines = unfold(stream, async |mut stream| {
        let line = stream.next().await?;
        Some((Ok::<_, Infallible>(line), stream))
    });
    let body = Body::from_stream(lines);
    let mut response = body::typed(StatusCode::OK, "text/event-stream", body);
    let value = HeaderValue::from_static("no-cache");
    response.headers_mut().insert(header::CACHE_CONTROL, value);
    response
}

impl Stream {
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            if self.has_ended {
                return None;
            }
            match timeout(KEEP_ALIVE, self.events.recv()).await {
                Ok(event) => self.take(event),
                Err(_) => return Some(": keep-alive\n\n".into()),
            }
        }
    }

    /// The first piece of a chat has the role.
    fn open(&mut self) {
        if self.reply.endpoint == Endpoint::Chat {
            for index in 0..self.reply.choices.len() {
                let delta = json!({"role": "assistant", "content": ""});
                let choice = json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": null});
                self.piece(vec![choice]);
            }
        }
    }

    fn take(&mut self, event: Option<Event>) {
        match self.reply.take(event) {
            Ok(number) => self.tell(number),
            Err(error) => {
                self.push(&error.body().to_string());
                self.has_ended = true;
            }
        }
    }

    fn tell(&mut self, number: usize) {
        let endpoint = self.reply.endpoint;
        let choice = self.reply.choices.get_mut(number);
        if let Some(choice) = choice.filter(|choice| choice.has_news()) {
            let told = choice.tell(endpoint, number, true);
            self.piece(vec![told]);
        }
        if self.reply.is_finished() {
            self.close();
        }
    }

    fn close(&mut self) {
        if self.reply.include_usage {
            let mut told = self.reply.told(vec![], true);
            told["usage"] = self.reply.usage();
            self.push(&told.to_string());
        }
        self.push("[DONE]");
        self.has_ended = true;
    }

    fn piece(&mut self, choices: Vec<Value>) {
        let mut told = self.reply.told(choices, true);
        if self.reply.include_usage {
            told["usage"] = Value::Null;
        }
        self.push(&told.to_string());
    }

    fn push(&mut self, data: &str) {
        self.lines.push_back(format!("data: {data}\n\n"));
    }
}
