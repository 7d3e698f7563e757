//! The gradients, a tile of keys at a time.
//!
//! The probabilities are computed again from the statistics of forward. A task owns the gradients of
//! a tile of keys and values, sums over all queries of the group that see it, and adds its part of
//! `dq` to the whole when the tiles before it have added theirs: every sum has one order, and
//! nothing is held for each query head (Dao et al. 2022, <https://arxiv.org/abs/2205.14135>).

use super::delta::deltas;
use super::gradients::{bound_rows, probabilities, score_gradients};
use super::heads::{Heads, Wide, padded};
use super::ordered::OrderedSum;
use super::panels::Panels;
use super::scores::{Strip, times_panels};
use super::sizes::{KEYS, QUERIES, QueryBlock, Scoring, Sizes};
use super::tile::{Left, Right, Tile, panel};
use super::visible::Visible;
use crate::host::online::Statistics;
use metal_candle_cpu::simd::dispatch;
use metal_candle_cpu::threads::for_each_task;
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Tensors that forward read and wrote, and the gradient of its result.
pub(super) struct Forward<'a> {
    pub(super) sizes: Sizes,
    pub(super) visible: &'a Visible,
    pub(super) scoring: Scoring,
    pub(super) q: &'a Heads<'a>,
    pub(super) k: &'a Heads<'a>,
    pub(super) v: &'a Heads<'a>,
    pub(super) y: &'a Heads<'a>,
    pub(super) statistics: &'a [Statistics],
    pub(super) dy: &'a Heads<'a>,
}

/// Inputs that all tasks read.
struct BackwardInputs<'a> {
    sizes: Sizes,
    visible: &'a Visible,
    scoring: Scoring,
    q: Wide<'a>,
    k: Wide<'a>,
    dy: Wide<'a>,
    /// `scale * k^T`.
    keys: Panels,
    /// `v^T`.
    values: Panels,
    statistics: &'a [Statistics],
    deltas: Vec<f32>,
    wants_scores: bool,
}

/// The gradients of `q`, `k` and `v`, those of them that are tracked.
pub(super) fn backward(forward: &Forward<'_>, tracked: [bool; 3]) -> [Option<Vec<f32>>; 3] {
    let sizes = forward.sizes;
    let (k, v) = (forward.k.widened(), forward.v.widened());
    let (y, dy) = (forward.y.widened(), forward.dy.widened());
    let inputs = BackwardInputs {
        sizes,
        visible: forward.visible,
        scoring: forward.scoring,
        q: forward.q.widened(),
        keys: Panels::new(&k, forward.scoring.scale, sizes),
        values: Panels::new(&v, 1.0, sizes),
        statistics: forward.statistics,
        deltas: deltas(&y, &dy, sizes),
        k,
        dy,
        wants_scores: tracked[0] || tracked[1],
    };
    let fresh = |i: usize, heads, tokens| {
        let elements = sizes.batch * heads * tokens * sizes.width;
        tracked[i].then(|| vec![0.0; elements])
    };
    let mut dq = fresh(0, sizes.heads, sizes.queries);
    let mut dk = fresh(1, sizes.kv_heads, sizes.keys);
    let mut dv = fresh(2, sizes.kv_heads, sizes.keys);
    let dq_sums = dq.as_deref_mut().map(|dq| dq_sums(&inputs, dq));
    let tasks = tiles(
        &inputs,
        dq_sums.as_deref(),
        dk.as_deref_mut(),
        dv.as_deref_mut(),
    );
    for_each_task(tasks, sizes.work(), |memory, tile| {
        dispatch(Vectorized { tile, memory });
    });
    drop(dq_sums);
    [dq, dk, dv]
}

/// The blocks of queries of all heads, `(B, H, ceil(Tq / QUERIES))`.
fn dq_sums<'a>(inputs: &BackwardInputs<'_>, dq: &'a mut [f32]) -> Vec<OrderedSum<'a>> {
    let sizes = inputs.sizes;
    let mut dq_sums = vec![];
    for (head, dq) in dq
        .chunks_mut((sizes.queries * sizes.width).max(1))
        .enumerate()
    {
        for (i, dq) in dq.chunks_mut(QUERIES * sizes.width).enumerate() {
            let queries = i * QUERIES..((i + 1) * QUERIES).min(sizes.queries);
            let keys = inputs.visible.range(head / sizes.heads, queries);
            dq_sums.push(OrderedSum::new(keys.start / KEYS, dq));
        }
    }
    dq_sums
}

/// The tiles of all heads, the first of each head before the second of any: under a causal mask they
/// are the longest tasks.
fn tiles<'a, 'q>(
    inputs: &'a BackwardInputs<'a>,
    dq_sums: Option<&'a [OrderedSum<'q>]>,
    dk: Option<&'a mut [f32]>,
    dv: Option<&'a mut [f32]>,
) -> Vec<KeyTile<'a, 'q>> {
    let sizes = inputs.sizes;
    let heads = sizes.batch * sizes.kv_heads;
    let count = sizes.keys.div_ceil(KEYS);
    let mut dk = parts(dk, heads, sizes).into_iter();
    let mut dv = parts(dv, heads, sizes).into_iter();
    let mut tiles = vec![];
    for head in 0..heads {
        for number in 0..count {
            tiles.push(KeyTile {
                inputs,
                dq_sums,
                batch: head / sizes.kv_heads,
                kv_head: head % sizes.kv_heads,
                number,
                dk: dk.next().flatten(),
                dv: dv.next().flatten(),
            });
        }
    }
    tiles.sort_by_key(|tile| tile.number);
    tiles
}

/// The rows of every tile of every head, or nothing for each.
fn parts(values: Option<&mut [f32]>, heads: usize, sizes: Sizes) -> Vec<Option<&mut [f32]>> {
    match values {
        Some(values) => values
            .chunks_mut((sizes.keys * sizes.width).max(1))
            .flat_map(|head| head.chunks_mut((KEYS * sizes.width).max(1)))
            .map(Some)
            .collect(),
        None => (0..heads * sizes.keys.div_ceil(KEYS))
            .map(|_| None)
            .collect(),
    }
}

/// Some keys of one head and their gradients, `(keys, D)`.
struct KeyTile<'a, 'q> {
    inputs: &'a BackwardInputs<'a>,
    dq_sums: Option<&'a [OrderedSum<'q>]>,
    batch: usize,
    kv_head: usize,
    number: usize,
    dk: Option<&'a mut [f32]>,
    dv: Option<&'a mut [f32]>,
}

/// Memory that every tile of a thread uses again; `D` in whole panels.
#[derive(Default)]
struct Memory {
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

struct Vectorized<'a, 'q, 'b> {
    tile: KeyTile<'a, 'q>,
    memory: &'b mut Memory,
}

impl WithSimd for Vectorized<'_, '_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::REGISTER_COUNT {
            32.. => self.tile.run::<S, 8>(simd, self.memory),
            _ => self.tile.run::<S, 6>(simd, self.memory),
        }
    }
}

/// A strip and the columns of the tile that it sees.
type Seen = (Strip, Range<usize>);

impl KeyTile<'_, '_> {
    #[inline(always)]
    fn run<S: Simd, const M: usize>(self, simd: S, memory: &mut Memory) {
        let sizes = self.inputs.sizes;
        let width = padded(sizes.width);
        memory.p.resize(QUERIES * KEYS, 0.0);
        memory.ds.resize(QUERIES * KEYS, 0.0);
        memory.dq.resize(QUERIES * width, 0.0);
        for sums in [&mut memory.dk, &mut memory.dv] {
            sums.clear();
            sums.resize((KEYS + M) * width, 0.0);
        }
        for first in (0..sizes.queries).step_by(QUERIES) {
            if !self.is_awaited(first) {
                continue;
            }
            let strips = self.strips::<S, M>(first);
            for head in 0..sizes.group() {
                let head = self.kv_head * sizes.group() + head;
                self.add_block::<S, M>(simd, head, &strips, memory);
            }
        }
        write_rows(self.dk, &memory.dk, sizes.width);
        write_rows(self.dv, &memory.dv, sizes.width);
    }

    fn first(&self) -> usize {
        self.number * KEYS
    }

    /// Whether the tile lies in the range that the block of queries from `first` on sees, of which every
    /// tile adds its part: also one between segments, of which no strip of the block sees a key.
    fn is_awaited(&self, first: usize) -> bool {
        let queries = self.block(first).queries;
        let keys = self.inputs.visible.range(self.batch, queries);
        keys.start < self.first() + KEYS && keys.end > self.first()
    }

    /// The queries from `first` on, the same in every head.
    fn block(&self, first: usize) -> QueryBlock {
        let end = (first + QUERIES).min(self.inputs.sizes.queries);
        QueryBlock {
            batch: self.batch,
            head: 0,
            queries: first..end,
        }
    }

    /// Strips of the block of queries from `first` on.
    #[inline(always)]
    fn strips<S: Simd, const M: usize>(&self, first: usize) -> Vec<Seen> {
        let rows = self.block(first);
        let strip = |first| {
            let rows = rows.part(first, M);
            let keys = self.inputs.visible.range(self.batch, rows.queries.clone());
            let strip = Strip { rows, keys };
            let columns = strip.columns::<S>(self.first());
            (strip, columns)
        };
        (0..rows.len()).step_by(M).map(strip).collect()
    }

    #[inline(always)]
    fn add_block<S: Simd, const M: usize>(
        &self,
        simd: S,
        head: usize,
        strips: &[Seen],
        memory: &mut Memory,
    ) {
        let inputs = self.inputs;
        let width = padded(inputs.sizes.width);
        let Memory { p, ds, dq, dk, dv } = memory;
        let pieces = p.chunks_mut(M * KEYS).zip(ds.chunks_mut(M * KEYS));
        for (seen, (p, ds)) in strips.iter().zip(pieces) {
            self.scores::<S, M>(simd, head, seen, p, ds);
        }
        let first = strips[0].0.rows.queries.start;
        if self.dv.is_some() {
            let dy = inputs.dy.tokens(self.batch, head, first);
            self.add_to_keys::<S, M>(simd, strips, p, dy, dv);
        }
        if self.dk.is_some() {
            let q = inputs.q.tokens(self.batch, head, first);
            self.add_to_keys::<S, M>(simd, strips, ds, q, dk);
        }
        let Some(dq_sums) = self.dq_sums else { return };
        for (i, seen) in strips.iter().enumerate() {
            let ds = &ds[i * M * KEYS..];
            self.queries::<S, M>(simd, seen, ds, &mut dq[i * M * width..]);
        }
        let blocks = inputs.sizes.queries.div_ceil(QUERIES);
        let head = self.batch * inputs.sizes.heads + head;
        dq_sums[head * blocks + first / QUERIES].add(self.number, |sum| {
            let rows = sum.chunks_exact_mut(inputs.sizes.width);
            for (sum, dq) in rows.zip(dq.chunks_exact(width)) {
                sum.iter_mut().zip(dq).for_each(|(sum, dq)| *sum += dq);
            }
        });
    }

    /// Probabilities of a strip, `p = exp(s - max) / sum`, and the gradient of `q k^T`,
    /// `ds = scale * p * (dp - delta)` times the derivative of a bound; zero in hidden columns.
    #[inline(always)]
    fn scores<S: Simd, const M: usize>(
        &self,
        simd: S,
        head: usize,
        (strip, columns): &Seen,
        p: &mut [f32],
        ds: &mut [f32],
    ) {
        clear_outside(p, columns);
        clear_outside(ds, columns);
        if columns.is_empty() {
            return;
        }
        let (sizes, visible) = (self.inputs.sizes, self.inputs.visible);
        let queries = &strip.rows.queries;
        let BackwardInputs {
            q,
            dy,
            keys,
            values,
            ..
        } = self.inputs;
        self.times::<S, M>(simd, (q, head), keys, (strip, columns), p);
        if self.inputs.wants_scores {
            self.times::<S, M>(simd, (dy, head), values, (strip, columns), ds);
        }
        let first = (self.batch * sizes.heads + head) * sizes.queries + queries.start;
        let deltas = &self.inputs.deltas[first..][..queries.len()];
        let Scoring { scale, softcap } = self.inputs.scoring;
        if let Some(cap) = softcap {
            bound_rows(simd, p, ds, (columns, deltas), cap);
        }
        strip.hide(visible, self.first(), columns.clone(), p);
        let rows = p.chunks_exact_mut(KEYS).zip(ds.chunks_exact_mut(KEYS));
        let statistics = &self.inputs.statistics[first..];
        for ((statistics, delta), (p, ds)) in statistics.iter().zip(deltas).zip(rows) {
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
        let rows = rows.tokens(self.batch, head, strip.rows.queries.start);
        let left = Left {
            data: rows.data,
            rows: strip.rows.len(),
            row: rows.step,
            step: 1,
        };
        let panels = panels.from(self.batch, self.kv_head, self.first());
        let width = self.inputs.sizes.width;
        times_panels::<S, M>(simd, left, panels, width, columns.clone(), to);
    }

    /// `sums += left^T right` over the queries of a block.
    #[inline(always)]
    fn add_to_keys<S: Simd, const M: usize>(
        &self,
        simd: S,
        strips: &[Seen],
        left: &[f32],
        right: Right<'_>,
        sums: &mut [f32],
    ) {
        let width = padded(self.inputs.sizes.width);
        let keys = KEYS.min(self.inputs.sizes.keys - self.first());
        for key in (0..keys).step_by(M) {
            let sees = |(_, columns): &Seen| columns.start < key + M && columns.end > key;
            let Some(first) = strips.iter().position(sees) else {
                continue;
            };
            let last = strips.iter().rposition(sees).unwrap_or(first);
            let rows = first * M..last * M + strips[last].0.rows.len();
            let left = Left {
                data: &left[rows.start * KEYS + key..],
                rows: KEYS - key,
                row: 1,
                step: KEYS,
            };
            let step = right.step;
            let right = &right.data[rows.start * step..];
            for column in (0..width).step_by(panel::<S>()) {
                let right = Right {
                    data: &right[column..],
                    step,
                };
                let sums = &mut sums[key * width + column..];
                let tile = Tile::<S, M>::load(simd, sums, width);
                tile.plus(simd, left, right, rows.len()).store(sums, width);
            }
        }
    }

    /// `dq = ds k` of a strip.
    #[inline(always)]
    fn queries<S: Simd, const M: usize>(
        &self,
        simd: S,
        (strip, columns): &Seen,
        ds: &[f32],
        dq: &mut [f32],
    ) {
        let sizes = self.inputs.sizes;
        let width = padded(sizes.width);
        let start = self.first() + columns.start;
        let steps = (self.first() + columns.end).min(sizes.keys) - start;
        let left = Left {
            data: &ds[columns.start..],
            rows: strip.rows.len(),
            row: KEYS,
            step: 1,
        };
        let k = self.inputs.k.tokens(self.batch, self.kv_head, start);
        for column in (0..width).step_by(panel::<S>()) {
            let k = Right {
                data: &k.data[column..],
                step: k.step,
            };
            let tile = Tile::<S, M>::zeros(simd).plus(simd, left, k, steps);
            tile.store(&mut dq[column..], width);
        }
    }
}

fn clear_outside(rows: &mut [f32], columns: &Range<usize>) {
    if *columns == (0..KEYS) {
        return;
    }
    for row in rows.chunks_exact_mut(KEYS) {
        row[..columns.start].fill(0.0);
        row[columns.end..].fill(0.0);
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
