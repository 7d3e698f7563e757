//! Sizes of an operation, and of the pieces it is cut into.

use super::AttentionScores;
use super::tile::WIDEST_PANEL;
use std::ops::Range;

/// Queries that share what a tile of keys brings into the cache.
pub(super) const QUERIES: usize = 96;

/// Keys of a tile, a multiple of the widest panel.
pub(super) const KEYS: usize = 4 * WIDEST_PANEL;

#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) batch: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) queries: usize,
    pub(super) keys: usize,
    pub(super) width: usize,
}

impl Sizes {
    /// Query heads per key-value head.
    pub(super) fn group(self) -> usize {
        self.heads / self.kv_heads
    }

    /// In elements of a loop over memory: products do some tens of operations in the time of one.
    pub(super) fn work(self) -> usize {
        self.batch * self.heads * self.queries * self.keys * self.width / 16
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

impl From<AttentionScores> for Scoring {
    fn from(scores: AttentionScores) -> Self {
        Self {
            scale: scores.scale as f32,
            softcap: scores.softcap.map(|cap| cap as f32),
        }
    }
}

/// Consecutive queries of one head.
#[derive(Clone)]
pub(super) struct QueryBlock {
    pub(super) batch: usize,
    pub(super) head: usize,
    pub(super) queries: Range<usize>,
}

impl QueryBlock {
    pub(super) fn len(&self) -> usize {
        self.queries.len()
    }

    /// At most `count` of the rows, from `first` on.
    pub(super) fn part(&self, first: usize, count: usize) -> Self {
        let start = self.queries.start + first;
        Self {
            queries: start..(start + count).min(self.queries.end),
            ..*self
        }
    }
}
