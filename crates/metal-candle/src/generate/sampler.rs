mod adjust;
mod candidates;
#[cfg(test)]
mod tests;

use candidates::{Candidate, Candidates};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Choice of the next token; the filters apply in the order of the fields.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Logits of tokens seen in the last [`Self::repetition_context`] are divided by this where
    /// positive and multiplied where negative (Keskar et al. 2019, arXiv 1909.05858); 1 is off.
    /// What leaves the range of float32 becomes the largest number of its sign.
    pub repetition_penalty: f32,
    /// Number of tokens that the penalty looks back on.
    pub repetition_context: usize,
    /// Taken from the logits of tokens seen in the last [`Self::presence_context`], as OpenAI's interface has it; 0 is off.
    pub presence_penalty: f32,
    /// Number of tokens, those of the prompt included, that it looks back on.
    pub presence_context: usize,
    /// Taken from the logits of tokens as often as they were seen in the last [`Self::frequency_context`]; 0 is off.
    pub frequency_penalty: f32,
    /// Number of tokens, those of the prompt included, that it looks back on.
    pub frequency_context: usize,
    /// 0 takes the most likely token; otherwise logits are divided by this. All filters leave at
    /// least that token.
    pub temperature: f32,
    /// Only the `top_k` most likely tokens; 0 is off.
    pub top_k: usize,
    /// The smallest set of tokens whose probability reaches this (Holtzman et al. 2019, arXiv
    /// 1904.09751); 1 is off.
    pub top_p: f32,
    /// Tokens at least this times as likely as the most likely one (Nguyen et al. 2024, arXiv
    /// 2407.01082); 0 is off.
    pub min_p: f32,
    /// Tokens that `min_p` leaves at least.
    pub min_tokens_to_keep: usize,
    /// Probability with which a choice leaves out all tokens more likely than [`Self::xtc_threshold`] but the least likely of
    /// them (XTC, "exclude top choices"); 0 is off. Probabilities are those of the tokens that are left, at temperature 1.
    pub xtc_probability: f32,
    /// Probability over which XTC takes a token for a likely one.
    pub xtc_threshold: f32,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            repetition_penalty: 1.0,
            repetition_context: 20,
            presence_penalty: 0.0,
            presence_context: 20,
            frequency_penalty: 0.0,
            frequency_context: 20,
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            min_tokens_to_keep: 1,
            xtc_probability: 0.0,
            xtc_threshold: 0.1,
            seed: 0,
        }
    }
}

/// Sampler of tokens; the same seed and logits give the same tokens.
#[derive(Clone, Debug)]
pub struct Sampler {
    sampling: Sampling,
    /// Tokens that XTC does not leave out.
    spared: Vec<u32>,
    /// What is added to logits of single tokens.
    bias: Vec<(u32, f32)>,
    generator: ChaCha8Rng,
}

impl Sampler {
    /// A sampler at the start of its seed.
    #[must_use]
    pub fn new(sampling: Sampling) -> Self {
        Self {
            generator: ChaCha8Rng::seed_from_u64(sampling.seed),
            spared: vec![],
            bias: vec![],
            sampling,
        }
    }

    /// The sampler, whose XTC leaves out none of the tokens `spared`.
    #[must_use]
    pub fn sparing(mut self, spared: Vec<u32>) -> Self {
        self.spared = spared;
        self
    }

    /// The sampler, which adds these numbers to the logits of these tokens first (`logit_bias` of OpenAI's interface).
    #[must_use]
    pub fn with_bias(mut self, bias: Vec<(u32, f32)>) -> Self {
        self.bias = bias;
        self
    }

    /// Whether the next token is the most likely one, whatever came before.
    #[must_use]
    pub fn is_greedy(&self) -> bool {
        let Sampling {
            temperature,
            repetition_penalty,
            presence_penalty,
            frequency_penalty,
            ..
        } = self.sampling;
        let is_penalised =
            repetition_penalty != 1.0 || presence_penalty != 0.0 || frequency_penalty != 0.0;
        temperature <= 0.0 && !is_penalised && self.bias.is_empty()
    }

    /// The token after `history`, from its logits; `None` when one is NaN or positive infinity, or
    /// when all are negative infinity, which stands for a token that cannot come.
    pub fn next(&mut self, mut logits: Vec<f32>, history: &[u32]) -> Option<u32> {
        // Not `all`, which would look at one logit after the other.
        if !logits
            .iter()
            .fold(true, |fine, &logit| fine & (logit < f32::INFINITY))
        {
            return None;
        }
        adjust::adjust(&self.sampling, &self.bias, &mut logits, history);
        if self.sampling.temperature <= 0.0 {
            return most_likely(&logits);
        }
        let possible = (0..).zip(logits).filter(|(_, logit)| logit.is_finite());
        let possible = possible.map(|(id, logit)| Candidate::new(id, logit));
        let mut candidates = Candidates::new(possible.collect());
        candidates.filter(&self.sampling);
        if self.is_excluding() {
            candidates.exclude(self.sampling.xtc_threshold, &self.spared);
        }
        self.draw(&mut candidates)
    }

    /// Whether this choice leaves out likely tokens, as often as XTC is to.
    fn is_excluding(&mut self) -> bool {
        let probability = self.sampling.xtc_probability;
        probability > 0.0 && self.generator.random::<f32>() < probability
    }

    fn draw(&mut self, candidates: &mut Candidates) -> Option<u32> {
        let mut left = f64::from(self.generator.random::<f32>()) * candidates.total();
        for i in 0..candidates.len() {
            let candidate = candidates.get(i)?;
            left -= f64::from(candidate.weight);
            if left < 0.0 {
                return Some(candidate.id);
            }
        }
        let last = candidates.len().checked_sub(1)?;
        candidates.get(last).map(|candidate| candidate.id)
    }
}

/// The first of the largest logits; `None` when no token can come.
fn most_likely(logits: &[f32]) -> Option<u32> {
    let possible = (0..).zip(logits).filter(|(_, logit)| logit.is_finite());
    let best: Option<(u32, &f32)> = possible.fold(None, |best, (id, logit)| match best {
        Some((_, highest)) if highest >= logit => best,
        _ => Some((id, logit)),
    });
    best.map(|(id, _)| id)
}
