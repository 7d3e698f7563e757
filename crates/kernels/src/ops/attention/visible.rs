//! Keys that a query of a span sees, both by their numbers in it.

use super::{AttentionMask, AttentionSpan};
use std::ops::Range;

/// A mask with the sizes of a span.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visible {
    pub(super) causal: bool,
    pub(super) window: Option<usize>,
    pub(super) queries: usize,
    pub(super) keys: usize,
}

impl Visible {
    pub(super) fn new(mask: &AttentionMask, span: &AttentionSpan) -> Self {
        Self {
            causal: mask.causal,
            window: mask.window,
            queries: span.queries.len(),
            keys: span.keys.len(),
        }
    }

    /// The key at the position of query `i`.
    fn position(&self, i: usize) -> usize {
        i + self.keys - self.queries
    }

    /// Keys outside of this range are hidden from all of some queries.
    pub(super) fn range(&self, queries: Range<usize>) -> Range<usize> {
        match queries.is_empty() {
            true => 0..0,
            false => self.start(queries.start)..self.end(queries.end - 1),
        }
    }

    /// Whether all of some queries see all of some keys.
    pub(super) fn covers(&self, queries: Range<usize>, keys: Range<usize>) -> bool {
        self.start(queries.end - 1) <= keys.start && keys.end <= self.end(queries.start)
    }

    /// Keys before this one are hidden from query `i` by the window.
    fn start(&self, i: usize) -> usize {
        match self.window {
            Some(window) => (self.position(i) + 1).saturating_sub(window),
            None => 0,
        }
    }

    /// Keys from this one on are hidden from query `i` by the order of tokens, or do not exist.
    fn end(&self, i: usize) -> usize {
        match self.causal {
            true => self.position(i) + 1,
            false => self.keys,
        }
    }

    /// Overwrites the scores of keys that query `i` does not see or that do not exist; the first is
    /// that of `first`.
    pub(super) fn hide(&self, i: usize, first: usize, scores: &mut [f32]) {
        let seen = self.end(i).saturating_sub(first);
        if let Some(hidden) = scores.get_mut(seen..) {
            hidden.fill(f32::NEG_INFINITY);
        }
        let hidden = self.start(i).saturating_sub(first).min(scores.len());
        scores[..hidden].fill(f32::NEG_INFINITY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::attention::cases;

    #[test]
    fn a_range_holds_all_visible_keys_and_hiding_leaves_only_them() {
        for case in cases::small() {
            let shape = case.shape;
            if shape.queries > shape.keys || !shape.spans.is_empty() {
                continue;
            }
            let visible = Visible {
                causal: shape.causal,
                window: shape.window,
                queries: shape.queries,
                keys: shape.keys,
            };
            for i in 0..shape.queries {
                let range = visible.range(i..i + 1);
                let mut scores = vec![0.0; range.len()];
                visible.hide(i, range.start, &mut scores);
                for j in 0..shape.keys {
                    let kept = range.contains(&j) && scores[j - range.start] == 0.0;
                    assert_eq!(kept, shape.sees(0, i, j), "{shape:?}: query {i}, key {j}");
                }
            }
        }
    }

    #[test]
    fn a_window_skips_the_keys_before_it() {
        let visible = Visible {
            causal: true,
            window: Some(3),
            queries: 4,
            keys: 9,
        };
        assert_eq!(visible.range(0..1), 3..6);
        assert_eq!(visible.range(0..4), 3..9);
        assert!(visible.covers(1..3, 5..7));
        assert!(!visible.covers(1..3, 4..7));
        assert!(!visible.covers(1..3, 5..8));
    }
}
