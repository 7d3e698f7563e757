//! Requests: what a body asks for, as texts for the engine.

mod chat;
mod completion;
mod fields;
mod messages;
mod others;
mod sampling;

use crate::catalogue::{Catalogue, Entry};
use crate::error::{Error, Result};
use crate::settings::Settings;
use fields::Fields;
use metal_candle::generate::{Request, Sampling};
use metal_candle::models::Model;
use serde_json::Value;

/// Most log probabilities beside that of the chosen token, as in OpenAI's interface.
const MOST_LOGPROBS: usize = 20;

/// Endpoint that a request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/v1/chat/completions`
    Chat,
    /// `/v1/completions`
    Completions,
}

/// Texts that a request asks for, and how they are to be told.
pub struct Asked {
    /// Number of the model in the catalogue.
    pub model: usize,
    /// Its name in the reply.
    pub model_name: String,
    /// The texts, all of one prompt behind each other.
    pub texts: Vec<Request>,
    /// Strings that end each of them.
    pub stop: Vec<String>,
    /// Tokens of all prompts.
    pub n_prompt_tokens: usize,
    /// Whether pieces are sent as they come.
    pub stream: bool,
    /// Whether a stream ends with the numbers of tokens.
    pub include_usage: bool,
    /// Marks that are looked for in the answers.
    pub marks: Marks,
}

/// Marks that are looked for in an answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Marks {
    /// `<think>` and `</think>`.
    pub reasoning: bool,
    /// The prompt ends with `<think>`.
    pub begins_in_reasoning: bool,
    /// `<tool_call>` and `</tool_call>`.
    pub calls: bool,
}

/// Prompts of a request.
struct Prompts {
    token_ids: Vec<Vec<u32>>,
    /// Field that they are in.
    field: &'static str,
    marks: Marks,
}

/// Reader of requests to one server.
pub struct Reader {
    /// The models.
    pub catalogue: Catalogue,
    /// The server's settings.
    pub settings: Settings,
    vocab_size: usize,
    /// Longest sequence in tokens.
    pub max_model_len: usize,
    eos_token_ids: Vec<u32>,
}

impl Reader {
    /// A reader for `model`.
    pub fn new(model: &Model, catalogue: Catalogue, settings: Settings) -> Self {
        Self {
            catalogue,
            settings,
            vocab_size: model.decoder.vocab_size(),
            max_model_len: model.decoder.max_tokens(),
            eos_token_ids: model.eos_token_ids.clone(),
        }
    }

    /// Reads a body.
    ///
    /// # Errors
    /// When it is not what the endpoint takes, naming the field; every field is honoured, known to change nothing, or
    /// refused.
    pub fn read(&self, endpoint: Endpoint, body: &[u8]) -> Result<Asked> {
        let mut fields = Fields::read(body)?;
        let name = fields.text("model")?;
        let adapters = fields.text("adapters")?;
        let model = self.catalogue.find(name.as_deref(), adapters.as_deref())?;
        let entry = self.catalogue.entry(model);
        let stream = fields.flag("stream")?.unwrap_or(false);
        let include_usage = include_usage(&mut fields, stream)?;
        let stop = stop(&mut fields)?;
        let (template, n) = self.template(endpoint, &mut fields, entry)?;
        let prompts = match endpoint {
            Endpoint::Chat => chat::prompts(&mut fields, entry)?,
            Endpoint::Completions => completion::prompts(&mut fields, entry, self.vocab_size)?,
        };
        others::take(&mut fields)?;
        fields.finish()?;
        self.check_length(&prompts)?;
        Ok(Asked {
            model,
            model_name: name.unwrap_or_else(|| entry.id.clone()),
            n_prompt_tokens: prompts.token_ids.iter().map(Vec::len).sum(),
            marks: prompts.marks,
            texts: texts(&template, prompts.token_ids, n),
            stop,
            stream,
            include_usage,
        })
    }

    /// A text without a prompt, and how many there are of each prompt.
    fn template(
        &self,
        endpoint: Endpoint,
        fields: &mut Fields,
        entry: &Entry,
    ) -> Result<(Request, usize)> {
        let n = fields.count("n", (1, self.n_places()))?.unwrap_or(1);
        let mut eos_token_ids = self.eos_token_ids.clone();
        eos_token_ids.extend(entry.tokenizer.eos_token().map(|(_, id)| id));
        let request = Request {
            prompt: vec![],
            max_tokens: self.max_tokens(fields)?,
            eos_token_ids,
            sampling: sampling::read(fields, &self.settings)?,
            spared: entry.tokenizer.encode("\n").map_err(Error::failed)?,
            logit_bias: sampling::logit_bias(fields, self.vocab_size)?,
            logprobs: logprobs(endpoint, fields)?,
            adapter: entry.adapter.clone(),
        };
        Ok((request, n))
    }

    fn max_tokens(&self, fields: &mut Fields) -> Result<usize> {
        let mut given = |name| fields.count(name, (1, usize::MAX));
        let (new, old) = (given("max_completion_tokens")?, given("max_tokens")?);
        Ok(new.or(old).unwrap_or(self.settings.max_tokens))
    }

    /// Texts that run or wait at most.
    pub fn n_places(&self) -> usize {
        self.settings.concurrency.max(1) + self.settings.queue
    }

    fn check_length(&self, prompts: &Prompts) -> Result<()> {
        let (field, limit) = (prompts.field, self.max_model_len);
        for prompt in &prompts.token_ids {
            let n = prompt.len();
            if n > limit {
                let message =
                    format!("the prompt has {n} tokens, and the model takes {limit} at most");
                return Err(Error::field(field, message).with_code("context_length_exceeded"));
            }
            if n == 0 {
                return Err(Error::field(field, "the prompt has no tokens"));
            }
        }
        Ok(())
    }
}

/// `n` texts of each prompt, with seeds that follow each other.
fn texts(template: &Request, prompts: Vec<Vec<u32>>, n: usize) -> Vec<Request> {
    let prompts = prompts.into_iter();
    let each = prompts.flat_map(|prompt| std::iter::repeat_n(prompt, n));
    let seeds = (0..).map(|i| template.sampling.seed.wrapping_add(i));
    let texts = each.zip(seeds).map(|(prompt, seed)| Request {
        prompt,
        sampling: Sampling {
            seed,
            ..template.sampling
        },
        ..template.clone()
    });
    texts.collect()
}

fn stop(fields: &mut Fields) -> Result<Vec<String>> {
    let strings = |value: &Value| match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(list) => list
            .iter()
            .map(|text| text.as_str().map(String::from))
            .collect(),
        _ => None,
    };
    let stop = fields.taken("stop", "a string or a list of strings", strings)?;
    Ok(stop.unwrap_or_default())
}

fn include_usage(fields: &mut Fields, stream: bool) -> Result<bool> {
    const NAME: &str = "stream_options";
    let Some(options) = fields.object(NAME)? else {
        return Ok(false);
    };
    if !stream {
        let message = "stream_options needs \"stream\": true";
        return Err(Error::field(NAME, message));
    }
    let mut include = false;
    for (name, value) in options {
        let field = format!("{NAME}.{name}");
        match (name.as_str(), value) {
            ("include_usage", Value::Bool(flag)) => include = flag,
            // Blanks that hide the lengths of pieces: they change no answer.
            ("include_obfuscation", Value::Bool(_)) | (_, Value::Null) => {}
            ("include_usage" | "include_obfuscation", other) => {
                return Err(Error::expected(&field, "true or false", &other));
            }
            _ => {
                let message = format!("{field} is not a field that this server knows");
                return Err(Error::field(&field, message).with_code("unknown_parameter"));
            }
        }
    }
    Ok(include)
}

/// Number of log probabilities beside that of the token, `None` for neither. Completions have one field for it, as
/// OpenAI's did; mlx-lm's word for no number is -1.
fn logprobs(endpoint: Endpoint, fields: &mut Fields) -> Result<Option<usize>> {
    const MOST: u64 = MOST_LOGPROBS as u64;
    let number = |value: &Value| value.as_u64().filter(|n| *n <= MOST).map(|n| n as usize);
    let wanted = match endpoint {
        Endpoint::Chat => fields.flag("logprobs")?.unwrap_or(false).then_some(0),
        Endpoint::Completions => {
            let read = |value: &Value| match value {
                Value::Bool(flag) => Some(flag.then_some(0)),
                value => number(value).map(Some),
            };
            let expected = "true, false or a whole number from 0 to 20";
            fields.taken("logprobs", expected, read)?.flatten()
        }
    };
    let read = |value: &Value| match value.as_i64() {
        Some(-1) => Some(0),
        _ => number(value),
    };
    let top = fields.taken("top_logprobs", "a whole number from 0 to 20", read)?;
    Ok(match top {
        Some(top) if top > 0 => Some(top),
        _ => wanted,
    })
}
