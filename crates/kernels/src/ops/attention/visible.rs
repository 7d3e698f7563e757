//! Keys that a query sees, on the host.

use super::AttentionMask;
use candle_core::{Result, Tensor};
use std::ops::Range;

/// A mask with its sizes.
pub(super) struct Visible {
    causal: bool,
    window: Option<usize>,
    /// Segment of every key, `(B, Tk)`.
    segments: Option<Vec<u32>>,
    queries: usize,
    keys: usize,
}

impl Visible {
    pub(super) fn new(mask: &AttentionMask, queries: usize, keys: usize) -> Result<Self> {
        let ids = |ids: &Tensor| ids.flatten_all()?.to_vec1();
        Ok(Self {
            causal: mask.causal,
            window: mask.window,
            segments: mask.segments.as_ref().map(ids).transpose()?,
            queries,
            keys,
        })
    }

    /// The key at the position of query `i`.
    fn position(&self, i: usize) -> usize {
        i + self.keys - self.queries
    }

    /// Keys outside of this range are hidden from all of some queries of one row of the batch.
    pub(super) fn range(&self, batch: usize, queries: Range<usize>) -> Range<usize> {
        if queries.is_empty() {
            return 0..0;
        }
        let (start, end) = (self.start(queries.start), self.end(queries.end - 1));
        match self.segments_of(batch) {
            Some(segments) => {
                let own = &segments[self.position(queries.start)..=self.position(queries.end - 1)];
                let seen = between(&segments[start..end], own);
                start + seen.start..start + seen.end
            }
            None => start..end,
        }
    }

    /// Whether all of some queries see all of some keys.
    pub(super) fn covers(&self, batch: usize, queries: Range<usize>, keys: Range<usize>) -> bool {
        let same = |segments: &[u32]| {
            let own = &segments[self.position(queries.start)..=self.position(queries.end - 1)];
            let is_own = |segment: &u32| *segment == own[0];
            own.iter().all(is_own) && segments[keys.clone()].iter().all(is_own)
        };
        let in_order = self.start(queries.end - 1) <= keys.start;
        in_order && keys.end <= self.end(queries.start) && self.segments_of(batch).is_none_or(same)
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
    pub(super) fn hide(&self, batch: usize, i: usize, first: usize, scores: &mut [f32]) {
        let seen = self.end(i).saturating_sub(first);
        if let Some(hidden) = scores.get_mut(seen..) {
            hidden.fill(f32::NEG_INFINITY);
        }
        let hidden = self.start(i).saturating_sub(first).min(scores.len());
        scores[..hidden].fill(f32::NEG_INFINITY);
        if let Some(segments) = self.segments_of(batch) {
            let own = segments[self.position(i)];
            for (score, segment) in scores.iter_mut().zip(&segments[first..]) {
                if *segment != own {
                    *score = f32::NEG_INFINITY;
                }
            }
        }
    }

    fn segments_of(&self, batch: usize) -> Option<&[u32]> {
        let segments = self.segments.as_ref()?;
        Some(&segments[batch * self.keys..][..self.keys])
    }
}

/// From the first to the last of `segments` whose number is between the numbers in `own`: exact
/// for segments that are numbered in order, too wide for others.
fn between(segments: &[u32], own: &[u32]) -> Range<usize> {
    let (min, max) = own
        .iter()
        .fold((u32::MAX, 0), |(min, max), &s| (min.min(s), max.max(s)));
    let seen = |s: &u32| (min..=max).contains(s);
    let first = segments.iter().position(seen).unwrap_or(0);
    let last = segments
        .iter()
        .rposition(seen)
        .map_or(first, |last| last + 1);
    first..last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::attention::cases;

    #[test]
    fn a_range_holds_all_visible_keys_and_hiding_leaves_only_them() {
        for case in cases::small() {
            let shape = case.shape;
            if shape.queries > shape.keys {
                continue;
            }
            let visible = Visible {
                causal: shape.causal,
                window: shape.window,
                segments: (!shape.segments.is_empty()).then(|| shape.segments.clone()),
                queries: shape.queries,
                keys: shape.keys,
            };
            for i in 0..shape.queries {
                let range = visible.range(0, i..i + 1);
                let mut scores = vec![0.0; range.len()];
                visible.hide(0, i, range.start, &mut scores);
                for j in 0..shape.keys {
                    let kept = range.contains(&j) && scores[j - range.start] == 0.0;
                    assert_eq!(kept, shape.sees(i, j), "{shape:?}: query {i}, key {j}");
                }
            }
        }
    }

    #[test]
    fn a_window_skips_the_keys_before_it() {
        let visible = Visible {
            causal: true,
            window: Some(3),
            segments: None,
            queries: 4,
            keys: 9,
        };
        assert_eq!(visible.range(0, 0..1), 3..6);
        assert_eq!(visible.range(0, 0..4), 3..9);
        assert!(visible.covers(0, 1..3, 5..7));
        assert!(!visible.covers(0, 1..3, 4..7));
        assert!(!visible.covers(0, 1..3, 5..8));
    }

    #[test]
    fn packed_segments_skip_the_keys_of_others() {
        let visible = Visible {
            causal: true,
            window: None,
            segments: Some(vec![0, 0, 1, 1, 1, 2]),
            queries: 6,
            keys: 6,
        };
        assert_eq!(visible.range(0, 3..4), 2..4);
        assert_eq!(visible.range(0, 4..6), 2..6);
    }
}
