use super::call;
use super::parts::{Part, Parts};
use super::words::{self, Chosen, Words};
use crate::job::Piece;
use crate::request::{Endpoint, Marks};
use serde_json::{Map, Value, json};

/// Answer of one text, of which some was told already.
pub struct Choice {
    parts: Parts,
    delta: Delta,
    /// Tokens that were generated, one that ended the text included.
    pub n_tokens: usize,
    n_calls: usize,
    /// Characters of the tokens whose log probabilities were told.
    n_chars: usize,
    /// Whether the text has ended.
    pub is_finished: bool,
}

/// Text and what belongs to it that nobody has been told of yet.
#[derive(Default)]
struct Delta {
    content: String,
    reasoning: String,
    calls: Vec<Value>,
    chosen: Vec<Chosen>,
    finish_reason: Option<&'static str>,
}

impl Choice {
    /// A text of which nothing has come.
    pub fn new(marks: Marks) -> Self {
        Self {
            parts: Parts::new(marks),
            delta: Delta::default(),
            n_tokens: 0,
            n_calls: 0,
            n_chars: 0,
            is_finished: false,
        }
    }

    /// Takes what came of a step.
    pub fn push(&mut self, piece: &Piece, words: &Words<'_>) {
        self.n_tokens += usize::from(piece.token.is_some() || piece.has_end_token());
        let chosen = piece.token.as_ref().and_then(|token| words.chosen(token));
        self.delta.chosen.extend(chosen);
        let mut parts = self.parts.push(&piece.text);
        if let Some(reason) = piece.finished {
            parts.extend(self.parts.finish());
            self.is_finished = true;
            self.delta.finish_reason = Some(reason.as_str());
        }
        parts.into_iter().for_each(|part| self.add(part));
        if self.n_calls > 0 && self.delta.finish_reason == Some("stop") {
            self.delta.finish_reason = Some("tool_calls");
        }
    }

    fn add(&mut self, part: Part) {
        match part {
            Part::Content(text) => self.delta.content.push_str(&text),
            Part::Reasoning(text) => self.delta.reasoning.push_str(&text),
            Part::Call(text) => self.call(&text, "</tool_call>"),
            // Some models leave the end out at the end of the text.
            Part::Begun(text) => self.call(&text, ""),
        }
    }

    /// Adds a call; text that is none is what the model said.
    fn call(&mut self, text: &str, end: &str) {
        match call::read(text, self.n_calls) {
            Some(call) => {
                self.n_calls += 1;
                self.delta.calls.push(call);
            }
            None => self.delta.content += &format!("<tool_call>{text}{end}"),
        }
    }

    /// Whether there is something to tell.
    pub fn has_news(&self) -> bool {
        let Delta {
            content,
            reasoning,
            calls,
            chosen,
            finish_reason,
        } = &self.delta;
        let has_text = !content.is_empty() || !reasoning.is_empty();
        has_text || !calls.is_empty() || !chosen.is_empty() || finish_reason.is_some()
    }

    /// The whole answer, or what has come since the last call as a piece of a stream.
    pub fn tell(&mut self, endpoint: Endpoint, index: usize, is_piece: bool) -> Value {
        let delta = std::mem::take(&mut self.delta);
        let n_chars = self.n_chars;
        self.n_chars += delta.chosen.iter().map(Chosen::n_chars).sum::<usize>();
        let (finish_reason, has_logprobs) = (delta.finish_reason, !delta.chosen.is_empty());
        let logprobs = has_logprobs.then(|| match endpoint {
            Endpoint::Chat => words::of_chat(&delta.chosen),
            Endpoint::Completions => words::of_completion(&delta.chosen, n_chars),
        });
        let (name, answer) = match (endpoint, is_piece) {
            (Endpoint::Completions, _) => ("text", json!(delta.content)),
            (Endpoint::Chat, true) => ("delta", json!(delta.fields())),
            (Endpoint::Chat, false) => ("message", json!(delta.message())),
        };
        json!({"index": index, name: answer, "logprobs": logprobs, "finish_reason": finish_reason})
    }
}

impl Delta {
    /// Fields of a piece that have something in them.
    fn fields(self) -> Map<String, Value> {
        let mut fields = Map::new();
        if !self.content.is_empty() {
            fields.insert("content".into(), self.content.into());
        }
        if !self.reasoning.is_empty() {
            // mlx-lm's name, and that of other servers.
            fields.insert("reasoning".into(), self.reasoning.clone().into());
            fields.insert("reasoning_content".into(), self.reasoning.into());
        }
        if !self.calls.is_empty() {
            fields.insert("tool_calls".into(), self.calls.into());
        }
        fields
    }

    fn message(mut self) -> Map<String, Value> {
        // Numbers of calls are for pieces.
        for call in self.calls.iter_mut().filter_map(Value::as_object_mut) {
            call.shift_remove("index");
        }
        let has_no_content = self.content.is_empty() && !self.calls.is_empty();
        let content = match has_no_content {
            true => Value::Null,
            false => self.content.clone().into(),
        };
        let mut message = Map::from_iter([("role".into(), "assistant".into())]);
        message.insert("content".into(), content);
        let others = self.fields().into_iter();
        message.extend(others.filter(|(name, _)| name != "content"));
        message
    }
}
