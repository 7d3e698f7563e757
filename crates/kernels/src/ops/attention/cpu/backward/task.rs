//! The gradients of some keys of one head.

use super::BackwardInputs;
use super::ordered::OrderedSum;
use super::scores::Seen;
use crate::ops::attention::cpu::heads::padded;
use crate::ops::attention::cpu::spans::{KEYS, Keys, QUERIES, Span};
use crate::ops::attention::cpu::strip::Strip;
use crate::ops::attention::cpu::vectorized::Task;
use pulp::Simd;
use std::ops::Range;

/// A tile of keys of one head and its gradients, `(keys, D)`.
pub(super) struct BackwardTask<'a, 'q> {
    pub(super) shared: &'a BackwardInputs<'a>,
    /// Blocks of the span, `(H, blocks)`.
    pub(super) dq_sums: Option<&'a [OrderedSum<'q>]>,
    pub(super) span: &'a Span,
    pub(super) kv_head: usize,
    /// Number among the span's tiles.
    pub(super) number: usize,
    pub(super) keys: Keys,
    pub(super) dk: Option<&'a mut [f32]>,
    pub(super) dv: Option<&'a mut [f32]>,
}

/// Memory that every tile of a thread uses again; `D` in whole panels.
#[derive(Default)]
pub(super) struct Memory {
    /// `(QUERIES, KEYS)`.
    p: Vec<f32>,
    /// Gradient of the scores, `(QUERIES, KEYS)`.
    ds: Vec<f32>,
    /// `(QUERIES, D)`.
    dq: Vec<f32>,
    /// `(KEYS, D)`.
    dk: Vec<f32>,
    /// `(KEYS, D)`.
    dv: Vec<f32>,
}

impl Memory {
    /// Sums of a tile of so many keys are zero; strips of queries have `step` rows, the last one too.
    fn prepare(&mut self, keys: usize, width: usize, step: usize) {
        let queries = QUERIES.next_multiple_of(step);
        self.p.resize(queries * KEYS, 0.0);
        self.ds.resize(queries * KEYS, 0.0);
        self.dq.resize(queries * width, 0.0);
        for sums in [&mut self.dk, &mut self.dv] {
            sums.clear();
            sums.resize(keys.next_multiple_of(step) * width, 0.0);
        }
    }
}

impl Task for BackwardTask<'_, '_> {
    type Memory = Memory;

    #[inline(always)]
    fn run<S: Simd, const M: usize>(self, simd: S, memory: &mut Memory) {
        let sizes = self.shared.inputs.sizes;
        memory.prepare(self.keys.len, padded(sizes.width), M);
        for queries in self.span.blocks() {
            if !self.is_seen_by(queries.clone()) {
                continue;
            }
            let strips = self.strips::<S, M>(queries);
            for head in 0..sizes.group() {
                let head = self.kv_head * sizes.group() + head;
                self.add_block::<S, M>(simd, head, &strips, memory);
            }
        }
        write_rows(self.dk, &memory.dk, sizes.width);
        write_rows(self.dv, &memory.dv, sizes.width);
    }
}

impl BackwardTask<'_, '_> {
    /// Whether the tile lies in the range that a block of queries sees, to which every tile adds its part.
    fn is_seen_by(&self, queries: Range<usize>) -> bool {
        let seen = self.span.visible.range(queries);
        seen.start < self.keys.end() && seen.end > self.keys.position
    }

    /// Strips of a block of queries, the same in every head.
    #[inline(always)]
    fn strips<S: Simd, const M: usize>(&self, queries: Range<usize>) -> Vec<Seen> {
        let strips = Strip::all::<M>(self.span, queries).into_iter();
        let seen = strips.map(|strip| {
            let columns = strip.columns::<S>(self.keys);
            (strip, columns)
        });
        seen.collect()
    }

    #[inline(always)]
    fn add_block<S: Simd, const M: usize>(
        &self,
        simd: S,
        head: usize,
        strips: &[Seen],
        memory: &mut Memory,
    ) {
        let Memory { p, ds, dq, dk, dv } = memory;
        let pieces = p.chunks_mut(M * KEYS).zip(ds.chunks_mut(M * KEYS));
        for (seen, (p, ds)) in strips.iter().zip(pieces) {
            self.scores::<S, M>(simd, head, seen, p, ds);
        }
        let first = strips[0].0.queries.start;
        let place = self.span.first_query + first;
        if self.dv.is_some() {
            let dy = self.shared.dy.tokens(self.span.row, head, place);
            self.add_to_keys::<S, M>(simd, strips, p, dy, dv);
        }
        if self.dk.is_some() {
            let q = self.shared.q.tokens(self.span.row, head, place);
            self.add_to_keys::<S, M>(simd, strips, ds, q, dk);
        }
        if let Some(dq_sums) = self.dq_sums {
            self.queries::<S, M>(simd, strips, ds, dq);
            let blocks = self.span.blocks().len();
            self.add_queries(&dq_sums[head * blocks + first / QUERIES], dq);
        }
    }

    /// Adds `dq` to that of the tiles before.
    fn add_queries(&self, dq_sum: &OrderedSum<'_>, dq: &[f32]) {
        let width = self.shared.inputs.sizes.width;
        dq_sum.add(self.number, |sum| {
            let rows = sum.chunks_exact_mut(width.max(1));
            for (sum, dq) in rows.zip(dq.chunks_exact(padded(width).max(1))) {
                sum.iter_mut().zip(dq).for_each(|(sum, dq)| *sum += dq);
            }
        });
    }
}

/// The first `width` columns of the sums to the rows of a gradient.
fn write_rows(to: Option<&mut [f32]>, sums: &[f32], width: usize) {
    let rows = to
        .into_iter()
        .flat_map(|to| to.chunks_exact_mut(width.max(1)));
    for (to, sums) in rows.zip(sums.chunks_exact(padded(width).max(1))) {
        to.copy_from_slice(&sums[..width]);
    }
}
