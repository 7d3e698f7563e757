/// Completion under a model.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Completion {
    /// Sum of the log probabilities of its tokens, in nats.
    pub log_prob: f64,
    /// Number of its tokens.
    pub tokens: usize,
}

impl Completion {
    /// Log probability per token.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.log_prob / self.tokens as f64
    }
}

/// Both completions of a pair under a model.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ScoredPair {
    /// The better completion.
    pub chosen: Completion,
    /// The worse completion.
    pub rejected: Completion,
}

/// Loss of a pair, and its derivatives by the log probabilities of the completions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairLoss {
    /// Loss.
    pub loss: f64,
    /// Derivative by [`Completion::log_prob`] of the better completion.
    pub dchosen: f64,
    /// Derivative by [`Completion::log_prob`] of the worse completion.
    pub drejected: f64,
}

/// `ln(1 + exp(x))`.
pub(super) fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// Slope of [`softplus`].
pub(super) fn sigmoid(x: f64) -> f64 {
    match x >= 0.0 {
        true => 1.0 / (1.0 + (-x).exp()),
        false => x.exp() / (1.0 + x.exp()),
    }
}
