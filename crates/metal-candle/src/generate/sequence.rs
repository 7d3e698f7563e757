use super::{FinishReason, Limit, Logprobs, Sampler, Sampling};
use crate::lora::AdapterSet;
use crate::models::{Decoder, Error, KvCache, Result};
use std::sync::Arc;

/// A prompt, and how it is to be continued.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Token ids of the prompt, of which there is one at least.
    pub prompt: Vec<u32>,
    /// Most tokens that are generated.
    pub max_tokens: usize,
    /// Tokens that end the text, and are no part of it.
    pub eos_token_ids: Vec<u32>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Tokens that XTC does not leave out, besides those that end the text.
    pub spared: Vec<u32>,
    /// Numbers that are added to the logits of single tokens.
    pub logit_bias: Vec<(u32, f32)>,
    /// Number of most likely tokens whose log probabilities come with every token, beside its own; `None` for neither.
    pub logprobs: Option<usize>,
    /// Adapters that the text is generated with.
    pub adapter: Option<Arc<AdapterSet>>,
}

/// One more token, or the end.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A token of the text.
    Token(Token),
    /// The text is complete; the token that ended it is not part of it.
    Finished(FinishReason),
}

/// A token that was chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// Its id.
    pub id: u32,
    /// Log probabilities, where [`Request::logprobs`] asks for them.
    pub logprobs: Option<Logprobs>,
}

impl Token {
    /// A token without log probabilities.
    pub(super) fn plain(id: u32) -> Self {
        Self { id, logprobs: None }
    }
}

/// Check that there is a prompt, of tokens that the model has.
pub(super) fn check_prompt(decoder: &Decoder, prompt: &[u32]) -> Result<()> {
    let vocab_size = decoder.vocab_size();
    if prompt.is_empty() {
        return Err(Error::EmptyPrompt);
    }
    match prompt.iter().find(|&&id| id as usize >= vocab_size) {
        Some(&id) => Err(Error::TokenOutOfRange { id, vocab_size }),
        None => Ok(()),
    }
}

/// A text that is being generated.
#[derive(Debug)]
pub(super) struct Sequence {
    /// Tokens of the prompt, and the generated ones.
    tokens: Vec<u32>,
    /// Number of tokens before them, which the cache holds from the beginning.
    n_before: usize,
    n_prompt: usize,
    max_tokens: usize,
    /// Most tokens that the model's limit leaves room for.
    room: usize,
    eos_token_ids: Vec<u32>,
    sampler: Sampler,
    logprobs: Option<usize>,
    pub(super) adapter: Option<Arc<AdapterSet>>,
    pub(super) cache: KvCache,
}

impl Sequence {
    pub(super) fn new(decoder: &Decoder, request: Request, cache: KvCache) -> Result<Self> {
        check_prompt(decoder, &request.prompt)?;
        let n_before = cache.len();
        let spared = [&request.spared[..], &request.eos_token_ids[..]].concat();
        Ok(Self {
            n_prompt: request.prompt.len(),
            max_tokens: request.max_tokens,
            n_before,
            room: decoder.room(n_before + request.prompt.len())?,
            eos_token_ids: request.eos_token_ids,
            sampler: Sampler::new(request.sampling)
                .sparing(spared)
                .with_bias(request.logit_bias),
            logprobs: request.logprobs,
            adapter: request.adapter,
            cache,
            tokens: request.prompt,
        })
    }

    /// Tokens that the model has not seen yet.
    pub(super) fn pending(&self) -> &[u32] {
        &self.tokens[self.cache.len() - self.n_before..]
    }

    /// Makes sure that the cache is of use at the length that the text has come to.
    pub(super) fn settle(&mut self, decoder: &Decoder) -> Result<()> {
        decoder.expect(&mut self.cache, self.n_before + self.tokens.len())
    }

    /// The limit that is reached.
    pub(super) fn limit(&self) -> Option<Limit> {
        let n = self.tokens.len() - self.n_prompt;
        match (n >= self.max_tokens, n >= self.room) {
            (true, _) => Some(Limit::MaxTokens),
            (_, true) => Some(Limit::Model),
            _ => None,
        }
    }

    /// Whether the next token is the most likely one, and nothing else is asked of its logits.
    pub(super) fn is_greedy(&self) -> bool {
        self.sampler.is_greedy() && self.logprobs.is_none()
    }

    /// The token of these logits; `None` where they are not numbers.
    pub(super) fn sampled(&mut self, logits: &[f32]) -> Option<Token> {
        let id = self.sampler.next(logits.to_vec(), &self.tokens)?;
        let n_top = self.logprobs;
        let logprobs = n_top.map(|n| Logprobs::of(logits, id, n));
        Some(Token { id, logprobs })
    }

    /// Takes the next token, or the end.
    pub(super) fn take(&mut self, token: Option<Token>) -> Result<Step> {
        let token = token.ok_or(Error::NotFinite { what: "logits" })?;
        if self.eos_token_ids.contains(&token.id) {
            return Ok(Step::Finished(FinishReason::Stop));
        }
        self.tokens.push(token.id);
        Ok(Step::Token(token))
    }
}
