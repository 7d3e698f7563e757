//! Probabilities and gradients of the scores of some queries.

use super::gradients::{bound_rows, probabilities, score_gradients};
use super::task::BackwardTask;
use crate::ops::attention::cpu::heads::Wide;
use crate::ops::attention::cpu::inputs::{Inputs, rows_of};
use crate::ops::attention::cpu::panels::Panels;
use crate::ops::attention::cpu::spans::KEYS;
use crate::ops::attention::cpu::strip::{Strip, times_panels};
use crate::ops::attention::sizes::Scoring;
use pulp::Simd;
use std::ops::Range;

/// A strip and the columns of the tile that it sees.
pub(super) type Seen = (Strip, Range<usize>);

impl BackwardTask<'_, '_> {
    /// Probabilities of a strip, `p = exp(s - max) / sum`, and the gradient of `q k^T`,
    /// `ds = scale * p * (dp - delta)` times the derivative of a bound; zero in hidden columns.
    #[inline(always)]
    pub(super) fn scores<S: Simd, const M: usize>(
        &self,
        simd: S,
        head: usize,
        (strip, columns): &Seen,
        p: &mut [f32],
        ds: &mut [f32],
    ) {
        self.clear_outside(p, columns);
        self.clear_outside(ds, columns);
        if columns.is_empty() {
            return;
        }
        let shared = self.shared;
        self.times::<S, M>(simd, (&shared.q, head), &shared.keys, (strip, columns), p);
        if shared.wants_scores {
            self.times::<S, M>(
                simd,
                (&shared.dy, head),
                &shared.values,
                (strip, columns),
                ds,
            );
        }
        let Inputs { scoring, .. } = shared.inputs;
        let rows = shared.inputs.rows(self.span, head, strip.queries.clone());
        let deltas = &shared.deltas[rows.clone()];
        if let Some(cap) = scoring.softcap {
            bound_rows(simd, p, ds, (columns, deltas), cap);
        }
        strip.hide(&self.span.visible, self.keys, columns.clone(), p);
        self.finish_rows(simd, rows, columns, p, ds);
    }

    #[inline(always)]
    fn finish_rows<S: Simd>(
        &self,
        simd: S,
        rows: Range<usize>,
        columns: &Range<usize>,
        p: &mut [f32],
        ds: &mut [f32],
    ) {
        let shared = self.shared;
        let Scoring { scale, softcap } = shared.inputs.scoring;
        let scores = p.chunks_exact_mut(KEYS).zip(ds.chunks_exact_mut(KEYS));
        let of_rows = shared.statistics[rows.clone()]
            .iter()
            .zip(&shared.deltas[rows]);
        for ((statistics, delta), (p, ds)) in of_rows.zip(scores) {
            let (p, ds) = (&mut p[columns.clone()], &mut ds[columns.clone()]);
            probabilities(simd, p, *statistics);
            // Below a bound it is subtracted already.
            let delta = if softcap.is_some() { 0.0 } else { *delta };
            score_gradients(simd, p, ds, delta, scale);
        }
    }

    /// The rows of a strip times the keys or values that it sees of the tile.
    #[inline(always)]
    fn times<S: Simd, const M: usize>(
        &self,
        simd: S,
        (rows, head): (&Wide<'_>, usize),
        panels: &Panels,
        (strip, columns): (&Strip, &Range<usize>),
        to: &mut [f32],
    ) {
        let left = rows_of(rows, self.span, head, strip.queries.clone());
        let panels = panels.from(self.kv_head, self.keys);
        let width = self.shared.inputs.sizes.width;
        times_panels::<S, M>(simd, left, panels, width, columns.clone(), to);
    }

    /// Zeros in the columns of the tile that are not seen.
    #[inline(always)]
    fn clear_outside(&self, rows: &mut [f32], columns: &Range<usize>) {
        for row in rows.chunks_exact_mut(KEYS) {
            row[..columns.start].fill(0.0);
            if columns.end < self.keys.len {
                row[columns.end..self.keys.len].fill(0.0);
            }
        }
    }
}
