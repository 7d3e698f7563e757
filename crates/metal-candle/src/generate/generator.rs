use super::{Sampler, Sampling};
use crate::device::{read_back, round};
use crate::models::{Decoder, Error, KvCache, Result};
use std::time::{Duration, Instant};

/// Why a text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The model chose a token that ends a text.
    Stop,
    /// As many tokens as possible were generated.
    Length(Limit),
}

/// What bounds the length of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// The number of tokens asked for.
    MaxTokens,
    /// The model's positions (`max_position_embeddings`).
    Model,
}

impl Limit {
    /// The name of the limit in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::Model => "model",
        }
    }
}

impl FinishReason {
    /// The name that OpenAI's interface gives it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length(_) => "length",
        }
    }

    /// The limit that ended the text, if one did.
    #[must_use]
    pub fn limit(self) -> Option<Limit> {
        match self {
            Self::Stop => None,
            Self::Length(limit) => Some(limit),
        }
    }
}

/// One more token, or the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A token of the text.
    Token(u32),
    /// The text is complete; the token that ended it is not part of it.
    Finished(FinishReason),
}

/// Tokens per second of the two phases.
#[derive(Clone, Copy, Debug, Default)]
pub struct Speed {
    /// Prompt tokens per second.
    pub prompt_tps: f64,
    /// Generated tokens per second, without the first, which the prompt's pass gives.
    pub generation_tps: f64,
}

/// Generates one text, token by token.
#[derive(Debug)]
pub struct Generator<'a> {
    decoder: &'a Decoder,
    eos_token_ids: Vec<u32>,
    max_tokens: usize,
    max_positions: usize,
    sampler: Sampler,
    cache: KvCache,
    /// Prompt and generated tokens.
    tokens: Vec<u32>,
    prompt_len: usize,
    prompt_time: Duration,
    decode_time: Duration,
}

impl<'a> Generator<'a> {
    /// A generator after `prompt`, of at most `max_tokens` tokens; any of `eos_token_ids` ends it.
    ///
    /// # Errors
    /// When the prompt is empty or longer than the model's limit.
    pub fn new(
        decoder: &'a Decoder,
        prompt: &[u32],
        max_tokens: usize,
        eos_token_ids: &[u32],
        sampling: Sampling,
    ) -> Result<Self> {
        let max_positions = decoder.max_tokens();
        if prompt.is_empty() {
            return Err(Error::EmptyPrompt);
        }
        if prompt.len() > max_positions {
            return Err(Error::TooLong {
                tokens: prompt.len(),
                limit: max_positions,
            });
        }
        Ok(Self {
            decoder,
            eos_token_ids: eos_token_ids.to_vec(),
            max_tokens,
            max_positions,
            sampler: Sampler::new(sampling),
            cache: KvCache::new(decoder.n_blocks()),
            tokens: prompt.to_vec(),
            prompt_len: prompt.len(),
            prompt_time: Duration::ZERO,
            decode_time: Duration::ZERO,
        })
    }

    /// The generated tokens so far.
    #[must_use]
    pub fn generated(&self) -> &[u32] {
        &self.tokens[self.prompt_len..]
    }

    /// The next token.
    ///
    /// # Errors
    /// When the logits are not numbers, memory runs out, or the device failed.
    pub fn step(&mut self) -> Result<Step> {
        if let Some(limit) = self.limit_reached() {
            return Ok(Step::Finished(FinishReason::Length(limit)));
        }
        let began = Instant::now();
        let token = round(|| self.next_token())?;
        if self.generated().is_empty() {
            self.prompt_time = began.elapsed();
        } else {
            self.decode_time += began.elapsed();
        }
        if self.eos_token_ids.contains(&token) {
            return Ok(Step::Finished(FinishReason::Stop));
        }
        self.tokens.push(token);
        Ok(Step::Token(token))
    }

    /// Tokens that the model's limit leaves room for after the prompt. The last one needs no position:
    /// nothing comes after it.
    #[must_use]
    pub fn room(&self) -> usize {
        (self.max_positions - self.prompt_len).saturating_add(1)
    }

    fn limit_reached(&self) -> Option<Limit> {
        let n = self.generated().len();
        match (n >= self.max_tokens, n >= self.room()) {
            (true, _) => Some(Limit::MaxTokens),
            (_, true) => Some(Limit::Model),
            _ => None,
        }
    }

    /// Reads the logits back, so that nothing piles up on a GPU ([`crate::device`]).
    fn next_token(&mut self) -> Result<u32> {
        let new = self.decoder.tokens(&self.tokens[self.cache.len()..], 1)?;
        let logits = self.decoder.decode(&new, &mut self.cache)?.squeeze(0)?;
        let logits = read_back(logits.device(), || logits.to_vec1::<f32>())?;
        let next = self.sampler.next(logits, &self.tokens);
        next.ok_or(Error::NotFinite { what: "logits" })
    }

    /// How fast it went so far.
    #[must_use]
    pub fn speed(&self) -> Speed {
        let decoded = self.generated().len().saturating_sub(1);
        Speed {
            prompt_tps: per_second(self.prompt_len, self.prompt_time),
            generation_tps: per_second(decoded, self.decode_time),
        }
    }
}

fn per_second(n: usize, time: Duration) -> f64 {
    match time.is_zero() {
        true => 0.0,
        false => n as f64 / time.as_secs_f64(),
    }
}
