//! Scores of a strip of queries against a tile of keys.

use super::sizes::{KEYS, QueryBlock};
use super::tile::{Left, Right, Tile, WIDEST_PANEL, panel};
use super::visible::Visible;
use crate::ops::softcap::registers::bound;
use pulp::Simd;
use std::ops::Range;

/// At most `M` queries and the keys that they see, none of them outside of this range.
pub(super) struct Strip {
    pub(super) rows: QueryBlock,
    pub(super) keys: Range<usize>,
}

impl Strip {
    /// Columns of the tile that begins with the key `first` that the strip sees, in whole panels.
    #[inline(always)]
    pub(super) fn columns<S: Simd>(&self, first: usize) -> Range<usize> {
        let within = |key: usize| key.saturating_sub(first).min(KEYS);
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
        for scores in scores.chunks_exact_mut(KEYS).take(self.rows.len()) {
            bound(simd, &mut scores[columns.clone()], cap);
        }
    }

    /// Overwrites with -inf what a query does not see: `scores` is `(M, KEYS)`.
    #[inline(always)]
    pub(super) fn hide(
        &self,
        visible: &Visible,
        first: usize,
        columns: Range<usize>,
        scores: &mut [f32],
    ) {
        let QueryBlock { batch, queries, .. } = &self.rows;
        let keys = first + columns.start..first + columns.end;
        if visible.covers(*batch, queries.clone(), keys.clone()) {
            return;
        }
        for (query, scores) in queries.clone().zip(scores.chunks_exact_mut(KEYS)) {
            visible.hide(*batch, query, keys.start, &mut scores[columns.clone()]);
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
