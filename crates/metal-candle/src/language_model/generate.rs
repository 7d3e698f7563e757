use super::{LanguageModel, Result};
use crate::data::Message;
use crate::generate::{Engine, Request, Sampling, Text};
use crate::lora::AdapterSet;
use std::sync::Arc;

/// Settings of the generation of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Generation {
    /// Most tokens that are generated.
    pub max_tokens: usize,
    /// How tokens are chosen: the most likely one, where nothing else is said.
    pub sampling: Sampling,
    /// Texts that end the answer, and are no part of it.
    pub stop: Vec<String>,
}

impl Default for Generation {
    fn default() -> Self {
        Self {
            max_tokens: 256,
            sampling: Sampling::default(),
            stop: vec![],
        }
    }
}

impl LanguageModel {
    /// Answer to `prompt`, a user's message where the tokenizer has a chat template, else the
    /// beginning of the text. `adapters` are those of [`super::Adapted::frozen`]. `show` is given the answer's
    /// pieces as they come.
    ///
    /// # Errors
    /// When the prompt is over the model's limit, or the model's output is not finite.
    pub fn generate(
        &self,
        adapters: Option<Arc<AdapterSet>>,
        prompt: &str,
        how: &Generation,
        mut show: impl FnMut(&str),
    ) -> Result<String> {
        let mut engine = Engine::new(&self.model.decoder);
        engine.insert(self.request(adapters, prompt, how)?)?;
        let mut text = Text::new(&self.tokenizer, &how.stop);
        let mut answer = String::new();
        loop {
            for (_, step) in engine.step()? {
                let piece = text.push(&step?)?;
                show(&piece.text);
                answer.push_str(&piece.text);
                if piece.finished.is_some() {
                    return Ok(answer);
                }
            }
        }
    }

    fn request(
        &self,
        adapters: Option<Arc<AdapterSet>>,
        prompt: &str,
        how: &Generation,
    ) -> Result<Request> {
        let mut eos_token_ids = self.model.eos_token_ids.clone();
        eos_token_ids.extend(self.tokenizer.eos_token().map(|(_, id)| id));
        Ok(Request {
            prompt: self.prompt(prompt)?,
            max_tokens: how.max_tokens,
            eos_token_ids,
            sampling: how.sampling,
            spared: self.tokenizer.encode("\n")?,
            adapter: adapters,
            ..Request::default()
        })
    }

    /// Token ids of `text`: a user's message, up to where the answer begins, where the tokenizer has a
    /// chat template, else the beginning of a text.
    ///
    /// # Errors
    /// When the tokenizer or its template fails.
    pub fn prompt(&self, text: &str) -> Result<Vec<u32>> {
        if !self.tokenizer.has_chat_template() {
            return Ok(self.tokenizer.encode_plain(text)?.encoded.ids);
        }
        let fields = [("role", "user"), ("content", text)];
        let fields = fields.map(|(name, value)| (name.to_string(), value.into()));
        let messages = [Message::from_iter(fields)];
        let rendered = self.tokenizer.apply_chat_template(&messages, None, true)?;
        Ok(self.tokenizer.encode_raw(&rendered)?)
    }
}
