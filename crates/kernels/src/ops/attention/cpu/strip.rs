//! Scores of a few queries against a tile of keys.

use super::spans::{KEYS, Keys, Span};
use super::tile::{Left, Right, Tile, WIDEST_PANEL, panel};
use crate::ops::attention::visible::Visible;
use crate::ops::softcap::registers::bound;
use pulp::Simd;
use std::ops::Range;

/// Queries, at most `M`, and the keys that they see, none of them outside of this range.
pub(super) struct Strip {
    pub(super) queries: Range<usize>,
    pub(super) keys: Range<usize>,
}

impl Strip {
    /// Strips of some queries of a span.
    #[inline(always)]
    pub(super) fn all<const M: usize>(span: &Span, queries: Range<usize>) -> Vec<Self> {
        let firsts = queries.clone().step_by(M);
        let strip = |first| {
            let queries = first..queries.end.min(first + M);
            let keys = span.visible.range(queries.clone());
            Self { queries, keys }
        };
        firsts.map(strip).collect()
    }

    /// Columns of a tile that the strip sees, in whole panels.
    #[inline(always)]
    pub(super) fn columns<S: Simd>(&self, keys: Keys) -> Range<usize> {
        let within = |key: usize| key.saturating_sub(keys.position).min(keys.len);
        let (start, end) = (within(self.keys.start), within(self.keys.end));
        if start >= end {
            return 0..0;
        }
        let panel = panel::<S>();
        start / panel * panel..end.next_multiple_of(panel)
    }

    /// Bounds the scores, `(M, KEYS)`, where they have a bound.
    #[inline(always)]
    pub(super) fn bound<S: Simd>(
        &self,
        simd: S,
        softcap: Option<f32>,
        columns: Range<usize>,
        scores: &mut [f32],
    ) {
        let Some(cap) = softcap else { return };
        for scores in scores.chunks_exact_mut(KEYS).take(self.queries.len()) {
            bound(simd, &mut scores[columns.clone()], cap);
        }
    }

    /// Overwrites with -inf what a query does not see, and what is no key: `scores` is `(M, KEYS)`.
    #[inline(always)]
    pub(super) fn hide(
        &self,
        visible: &Visible,
        keys: Keys,
        columns: Range<usize>,
        scores: &mut [f32],
    ) {
        let first = keys.position + columns.start;
        let end = keys.position + columns.end;
        if columns.end <= keys.len && visible.covers(self.queries.clone(), first..end) {
            return;
        }
        for (query, scores) in self.queries.clone().zip(scores.chunks_exact_mut(KEYS)) {
            let (scores, missing) = scores[..columns.end].split_at_mut(columns.end.min(keys.len));
            missing.fill(f32::NEG_INFINITY);
            visible.hide(query, first, &mut scores[columns.start..]);
        }
    }
}

/// `left` times some columns of a tile of panels, to `(M, KEYS)`.
#[inline(always)]
pub(super) fn times_panels<S: Simd, const M: usize>(
    simd: S,
    left: Left<'_>,
    panels: &[f32],
    width: usize,
    columns: Range<usize>,
    to: &mut [f32],
) {
    for column in columns.step_by(panel::<S>()) {
        let (i, inside) = (column / WIDEST_PANEL, column % WIDEST_PANEL);
        let right = Right {
            data: &panels[i * width * WIDEST_PANEL + inside..],
            step: WIDEST_PANEL,
        };
        let tile = Tile::<S, M>::zeros(simd).plus(simd, left, right, width);
        tile.store(&mut to[column..], KEYS);
    }
}
