/// Reason why a text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The model chose a token that ends a text, or a stop string was found.
    Stop,
    /// Length at its limit.
    Length(Limit),
}

/// Bound of the length of a text.
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
