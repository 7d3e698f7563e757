use super::Piece;

/// Keys and values that a cache holds, apart from where they lie.
#[derive(Clone, Debug)]
pub struct Held {
    /// Number of tokens so far, those that are no longer held included.
    pub n_tokens: usize,
    /// Keys and values, `(1, G, n, D)` each, in the order of positions: of all tokens, or of those that `bound` leaves.
    pub tokens: Piece,
    /// What the cache forgets, if anything.
    pub bound: Option<Bound>,
}

/// Tokens that a cache is bounded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// So many in all, more than `keep`.
    pub tokens: usize,
    /// So many of them from the beginning, the others are the last ones.
    pub keep: usize,
}
