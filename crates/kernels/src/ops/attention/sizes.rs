//! Sizes of an operation.

use super::AttentionScores;

#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) batch: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    /// `Tq`.
    pub(super) queries: usize,
    pub(super) width: usize,
}

impl Sizes {
    /// Query heads per key-value head.
    pub(super) fn group(self) -> usize {
        self.heads / self.kv_heads
    }

    /// Rows of scores, `B * H * Tq`.
    pub(super) fn rows(self) -> usize {
        self.batch * self.heads * self.queries
    }
}

/// Scoring of a query and a key.
#[derive(Clone, Copy)]
pub(super) struct Scoring {
    /// Factor of the product.
    pub(super) scale: f32,
    /// Bound of the scaled product.
    pub(super) softcap: Option<f32>,
}

impl From<AttentionScores<'_>> for Scoring {
    fn from(scores: AttentionScores<'_>) -> Self {
        Self {
            scale: scores.scale as f32,
            softcap: scores.softcap.map(|cap| cap as f32),
        }
    }
}
