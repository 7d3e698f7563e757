//! One pass over a share of the vocabulary, a part at a time, as attention passes over its keys: what
//! was summed so far is scaled when a larger logit appears (Milakov and Gimelshein 2018,
//! <https://arxiv.org/abs/1805.02867>). However many rows share a pass, each product reads the weight
//! once.

use crate::host::online::Statistics;
use crate::ops::softcap::registers::bound_with_slopes;
use metal_candle_cpu::gemm::{Matrix, MatrixMut, Then, product};
use metal_candle_cpu::math;
use metal_candle_cpu::simd::dispatch;
use metal_candle_cpu::threads::for_each_task;
use metal_candle_cpu::vector::update;
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Inputs that all passes have in common.
pub(super) struct Pass<'a> {
    /// `(rows, D)`.
    pub(super) hidden: Matrix<'a>,
    /// `(V, D)`.
    pub(super) weight: Matrix<'a>,
    /// Target of each row.
    pub(super) targets: &'a [u32],
    /// Bound of the logits.
    pub(super) softcap: Option<f32>,
    /// Logits of a row that a pass holds at a time.
    pub(super) columns: usize,
    /// Whether the gradient of the hidden state is wanted.
    pub(super) wants_dhidden: bool,
}

/// Results of a share of the vocabulary for rows.
pub(super) struct Share {
    range: Range<usize>,
    /// Statistics of each row.
    pub(super) seen: Vec<Seen>,
    /// `(rows, D)`: of each row `sum exp(logit - max) W_v` over all `v` of the share but the target,
    /// times the derivative of a bound, where the gradient is wanted.
    pub(super) sums: Vec<f32>,
}

/// Statistics of the logits of a row so far.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    pub(super) statistics: Statistics,
    /// Below its bound; minus infinity where the target was not seen.
    pub(super) target_logit: f32,
}

impl Share {
    pub(super) fn new(range: Range<usize>) -> Self {
        Self {
            range,
            seen: vec![],
            sums: vec![],
        }
    }
}

impl Pass<'_> {
    /// Sees all logits of a share, in memory that its parts have in common.
    pub(super) fn over(&self, share: &mut Share, logits: &mut Vec<f32>) {
        let rows = self.hidden.rows;
        let d = if self.wants_dhidden {
            self.hidden.columns
        } else {
            0
        };
        share.sums = vec![0.0; rows * d];
        share.seen = vec![Seen::default(); rows];
        for part in parts(share.range.clone(), self.columns) {
            self.logits(&part, logits);
            self.see(logits, part.start, share);
            if self.wants_dhidden {
                let sums = MatrixMut::new(&mut share.sums, rows, d);
                let exponentials = Matrix::new(logits, rows, part.len());
                product(sums, Then::Add, 1.0, exponentials, self.weight.part(part));
            }
        }
    }

    /// `h W^T` of a part of the vocabulary.
    pub(super) fn logits(&self, part: &Range<usize>, logits: &mut Vec<f32>) {
        let rows = self.hidden.rows;
        logits.resize(rows * part.len(), 0.0);
        let weight = self.weight.part(part.clone());
        let logits = MatrixMut::new(logits, rows, part.len());
        product(logits, Then::Write, 1.0, self.hidden, weight.transposed());
    }

    /// Adds the logits of some columns, the first of them `first`, to what is known of the rows; they
    /// become `exp(logit - max)` times the derivative of a bound, a target's zero, and the sums are scaled to
    /// the maximum of now.
    fn see(&self, logits: &mut [f32], first: usize, share: &mut Share) {
        let (elements, count) = (logits.len(), self.targets.len().max(1));
        let width = share.sums.len() / count;
        let mut sums = share.sums.chunks_exact_mut(width.max(1));
        let logits = logits.chunks_exact_mut(elements / count);
        let rows = logits.zip(&mut share.seen).zip(self.targets);
        let rows = rows.map(|((logits, seen), &target)| Row {
            logits,
            target: (target as usize).checked_sub(first),
            seen,
            sums: sums.next().unwrap_or_default(),
            softcap: self.softcap,
        });
        for_each_task(rows.collect(), elements, |slopes, row| {
            dispatch(Vectorized { row, slopes });
        });
    }
}

/// At most `columns` of a range at a time.
pub(super) fn parts(range: Range<usize>, columns: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    let starts = range.step_by(columns);
    starts.map(move |start| start..end.min(start + columns))
}

impl Default for Seen {
    /// Statistics of no logits.
    fn default() -> Self {
        Self {
            statistics: Statistics::default(),
            target_logit: f32::NEG_INFINITY,
        }
    }
}

impl Seen {
    /// What all shares tell of a row.
    pub(super) fn joined(parts: impl Iterator<Item = Self> + Clone) -> Self {
        let target_logits = parts.clone().map(|part| part.target_logit);
        Self {
            statistics: Statistics::joined(parts.map(|part| part.statistics)),
            target_logit: target_logits.fold(f32::NEG_INFINITY, f32::max),
        }
    }
}

/// Some logits of one row.
struct Row<'a> {
    logits: &'a mut [f32],
    /// The target's place, maybe beyond these logits.
    target: Option<usize>,
    seen: &'a mut Seen,
    sums: &'a mut [f32],
    softcap: Option<f32>,
}

struct Vectorized<'a, 'b> {
    row: Row<'a>,
    /// Memory for the derivatives of a bound.
    slopes: &'b mut Vec<f32>,
}

impl WithSimd for Vectorized<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { mut row, slopes } = self;
        match row.softcap {
            None => row.see(simd),
            Some(cap) => {
                slopes.resize(row.logits.len(), 0.0);
                bound_with_slopes(simd, row.logits, slopes, cap);
                row.see(simd);
                multiply(simd, row.logits, slopes);
            }
        }
    }
}

/// `x_i *= y_i`.
#[inline(always)]
pub(super) fn multiply<S: Simd>(simd: S, x: &mut [f32], y: &[f32]) {
    update(
        simd,
        [x],
        [y],
        #[inline(always)]
        |[x], [y]| [simd.mul_f32s(x, y)],
    );
}

impl Row<'_> {
    #[inline(always)]
    fn see<S: Simd>(&mut self, simd: S) {
        let target = self.target.filter(|&target| target < self.logits.len());
        if let Some(target) = target {
            self.seen.target_logit = self.logits[target];
        }
        let factor = self.seen.statistics.add(simd, self.logits);
        if let Some(target) = target {
            self.logits[target] = 0.0;
        }
        if factor != 1.0 {
            math::scale_f32s(simd, self.sums, factor);
        }
    }
}
