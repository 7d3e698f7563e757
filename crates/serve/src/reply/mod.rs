//! Replies: events of a job as one JSON value, or as a stream of them.

mod call;
mod choice;
mod parts;
mod stream;
#[cfg(test)]
mod tests;
mod words;

pub use stream::streamed;

use crate::error::{Error, Result};
use crate::identity;
use crate::job::Event;
use crate::request::{Asked, Endpoint, Reader};
use choice::Choice;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedReceiver;
use words::Words;

/// Reply that is being made.
pub struct Reply {
    reader: Arc<Reader>,
    model: usize,
    model_name: String,
    endpoint: Endpoint,
    id: String,
    created: u64,
    n_prompt_tokens: usize,
    include_usage: bool,
    choices: Vec<Choice>,
}

impl Reply {
    /// A reply of which nothing has come.
    pub fn new(reader: Arc<Reader>, endpoint: Endpoint, asked: &Asked) -> Self {
        let prefix = match endpoint {
            Endpoint::Chat => "chatcmpl-",
            Endpoint::Completions => "cmpl-",
        };
        Self {
            reader,
            model: asked.model,
            model_name: asked.model_name.clone(),
            endpoint,
            id: identity::name(prefix),
            created: identity::now_secs(),
            n_prompt_tokens: asked.n_prompt_tokens,
            include_usage: asked.include_usage,
            choices: asked
                .texts
                .iter()
                .map(|_| Choice::new(asked.marks))
                .collect(),
        }
    }

    /// Waits for all texts.
    ///
    /// # Errors
    /// When one of them failed.
    pub async fn whole(mut self, mut events: UnboundedReceiver<Event>) -> Result<Value> {
        while !self.is_finished() {
            self.take(events.recv().await)?;
        }
        let endpoint = self.endpoint;
        let choices = self.choices.iter_mut().enumerate();
        let choices = choices.map(|(i, choice)| choice.tell(endpoint, i, false));
        let choices = choices.collect();
        let mut told = self.told(choices, false);
        told["usage"] = self.usage();
        Ok(told)
    }

    /// Takes an event; gives the number of its text.
    fn take(&mut self, event: Option<Event>) -> Result<usize> {
        let event = event.ok_or_else(|| Error::failed("the engine has ended"))?;
        let piece = event.piece?;
        let entry = self.reader.catalogue.entry(self.model);
        if let Some(choice) = self.choices.get_mut(event.text) {
            choice.push(&piece, &Words::new(&entry.tokenizer));
        }
        Ok(event.text)
    }

    fn is_finished(&self) -> bool {
        self.choices.iter().all(|choice| choice.is_finished)
    }

    fn usage(&self) -> Value {
        let n_prompt = self.n_prompt_tokens;
        let n_new: usize = self.choices.iter().map(|choice| choice.n_tokens).sum();
        json!({"prompt_tokens": n_prompt, "completion_tokens": n_new, "total_tokens": n_prompt + n_new})
    }

    fn told(&self, choices: Vec<Value>, is_piece: bool) -> Value {
        let object = match (self.endpoint, is_piece) {
            (Endpoint::Chat, true) => "chat.completion.chunk",
            (Endpoint::Chat, false) => "chat.completion",
            (Endpoint::Completions, _) => "text_completion",
        };
        json!({
            "id": self.id,
            "object": object,
            "created": self.created,
            "model": self.model_name,
            "system_fingerprint": concat!("metal-candle-", env!("CARGO_PKG_VERSION")),
            "choices": choices,
        })
    }
}
