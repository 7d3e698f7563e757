//! One query of a head against its keys: the time is that of reading these.
//!
//! The heads of a group read their keys and values once, in the dtype and the order they are stored
//! in. The keys of a span are cut into ranges, so that few heads keep all threads busy; the results of
//! the ranges are joined in order like the tiles of `blocks.rs`, as if each had been multiplied with
//! `exp(its max - max of all)`.

use super::forward::Results;
use super::heads::{Heads, Wide, padded};
use super::inputs::Inputs;
use super::spans::{Keys, Span, Which};
use super::tile::{Left, Right, Tile, panel};
use super::vectorized::{self, Task};
use crate::host::online::Statistics;
use crate::ops::attention::sizes::Sizes;
use crate::ops::softcap::registers::bound;
use metal_candle_cpu::math::dot_f32s;
use metal_candle_cpu::threads::for_each_task;
use pulp::Simd;
use std::ops::Range;

/// Keys of a task: half a million bytes of a cache of 64 columns, with its values.
const RANGE: usize = 512;

/// Keys whose scores are computed before their values are read; they stay in the first cache.
const STEP: usize = 64;

/// Adds the rows of some spans, which have one query.
pub(super) fn add(inputs: &Inputs<'_>, spans: Which, results: &mut Results) {
    let q = inputs.q.widened();
    let mut parts = parts(inputs, spans);
    let tasks = parts.iter_mut().map(|part| DecodeTask {
        inputs,
        q: &q,
        part,
    });
    // Memory is what limits, not arithmetic.
    let keys: usize = inputs
        .spans
        .iter()
        .filter(|span| spans(span))
        .map(|span| span.visible.keys)
        .sum();
    let elements = 2 * keys * inputs.sizes.kv_heads * inputs.sizes.width;
    for_each_task(tasks.collect(), elements, |memory, task| {
        vectorized::run(task, memory);
    });
    for parts in parts.chunk_by(|a, b| a.is_of_head_of(b)) {
        join(inputs, parts, results);
    }
}

/// Results of one range of a span's keys for the heads of a group.
struct Part<'a> {
    span: &'a Span,
    kv_head: usize,
    /// Numbers of keys.
    range: Range<usize>,
    /// `sum_j exp(score_j - max) v_j`, `(H / G, D)` in whole panels.
    sums: Vec<f32>,
    statistics: Vec<Statistics>,
}

impl Part<'_> {
    fn is_of_head_of(&self, other: &Self) -> bool {
        (self.span.number, self.kv_head) == (other.span.number, other.kv_head)
    }
}

/// Parts of some spans, those of a head behind each other.
fn parts<'a>(inputs: &'a Inputs<'_>, spans: Which) -> Vec<Part<'a>> {
    let heads = inputs.spans.heads(inputs.sizes.kv_heads);
    let heads = heads.filter(|(span, _)| spans(span));
    let parts = heads.flat_map(|(span, kv_head)| {
        let seen = span.visible.range(0..1);
        let firsts = seen.clone().step_by(RANGE);
        firsts.map(move |first| Part {
            span,
            kv_head,
            range: first..seen.end.min(first + RANGE),
            sums: vec![],
            statistics: vec![Statistics::default(); inputs.sizes.group()],
        })
    });
    parts.collect()
}

struct DecodeTask<'a, 'b> {
    inputs: &'a Inputs<'a>,
    q: &'a Wide<'a>,
    part: &'a mut Part<'b>,
}

/// Memory that every task of a thread uses again.
#[derive(Default)]
struct Memory {
    /// Scores of a group, `(H / G, STEP)`.
    scores: Vec<f32>,
    /// Keys or values, where they are not float32 in whole panels.
    rows: Vec<f32>,
}

impl Task for DecodeTask<'_, '_> {
    type Memory = Memory;

    #[inline(always)]
    fn run<S: Simd, const M: usize>(mut self, simd: S, memory: &mut Memory) {
        let rows = self.inputs.sizes.group().next_multiple_of(M);
        memory.scores.resize(rows * STEP, 0.0);
        let width = padded(self.inputs.sizes.width);
        self.part.sums.resize(rows * width, 0.0);
        let (span, range) = (self.part.span, self.part.range.clone());
        for keys in self.inputs.spans.keys(span, range, STEP) {
            self.scores(simd, keys, memory);
            self.exponentials(simd, keys.len, &mut memory.scores);
            self.add_values::<S, M>(simd, keys, memory);
        }
    }
}

impl DecodeTask<'_, '_> {
    /// Keys, or values.
    #[inline(always)]
    fn read<'m>(&'m self, which: usize, keys: Keys, memory: &'m mut Vec<f32>) -> Right<'m> {
        let piece = &self.inputs.spans.pieces[keys.piece];
        let first = piece.first + keys.first;
        let heads: &Heads<'_> = &self.inputs.sources[piece.source][which];
        heads.read(
            piece.row,
            self.part.kv_head,
            first..first + keys.len,
            memory,
        )
    }

    #[inline(always)]
    fn scores<S: Simd>(&self, simd: S, keys: Keys, memory: &mut Memory) {
        let Inputs { sizes, scoring, .. } = self.inputs;
        let Memory { scores, rows } = memory;
        let k = self.read(0, keys, rows);
        let (span, head) = (self.part.span, self.part.kv_head * sizes.group());
        for i in 0..keys.len {
            let k = &k.data[i * k.step..][..sizes.width];
            for row in 0..sizes.group() {
                let q = self.q.tokens(span.row, head + row, span.first_query);
                let score = dot_f32s(simd, &q.data[..sizes.width], k);
                scores[row * STEP + i] = scoring.scale * score;
            }
        }
    }

    /// The scores of some keys become their exponentials, those of what is not there zero.
    #[inline(always)]
    fn exponentials<S: Simd>(&mut self, simd: S, keys: usize, scores: &mut [f32]) {
        let Inputs { sizes, scoring, .. } = self.inputs;
        let Part {
            sums, statistics, ..
        } = &mut *self.part;
        let sums = sums.chunks_exact_mut(padded(sizes.width).max(1));
        let rows = scores.chunks_exact_mut(STEP).zip(sums);
        for ((scores, sums), statistics) in rows.zip(statistics) {
            if let Some(cap) = scoring.softcap {
                bound(simd, &mut scores[..keys], cap);
            }
            scores[keys..].fill(f32::NEG_INFINITY);
            let factor = statistics.add(simd, scores);
            if factor != 1.0 {
                sums.iter_mut().for_each(|sum| *sum *= factor);
            }
        }
    }

    /// `sums += scores v`.
    #[inline(always)]
    fn add_values<S: Simd, const M: usize>(&mut self, simd: S, keys: Keys, memory: &mut Memory) {
        let sizes = self.inputs.sizes;
        let Memory { scores, rows } = memory;
        let mut sums = std::mem::take(&mut self.part.sums);
        let v = self.read(1, keys, rows);
        let width = padded(sizes.width);
        for row in (0..sizes.group()).step_by(M) {
            let p = Left {
                data: &scores[row * STEP..],
                rows: sizes.group() - row,
                row: STEP,
                step: 1,
            };
            for column in (0..width).step_by(panel::<S>()) {
                let v = Right {
                    data: &v.data[column..],
                    step: v.step,
                };
                let sums = &mut sums[row * width + column..];
                let tile = Tile::<S, M>::load(simd, sums, width);
                tile.plus(simd, p, v, keys.len).store(sums, width);
            }
        }
        self.part.sums = sums;
    }
}

/// One result from those of all ranges of a head's keys.
fn join(inputs: &Inputs<'_>, parts: &[Part<'_>], results: &mut Results) {
    let Sizes { width, .. } = inputs.sizes;
    for row in 0..inputs.sizes.group() {
        let head = parts[0].kv_head * inputs.sizes.group() + row;
        let place = inputs.rows(parts[0].span, head, 0..1).start;
        let of_parts = parts.iter().map(|part| part.statistics[row]);
        let all = of_parts.chain([inputs.before_keys(head)]);
        let joined = Statistics::joined(all);
        results.statistics[place] = joined;
        let y = &mut results.y[place * width..][..width];
        for part in parts {
            let factor = part.statistics[row].factor(joined.max);
            let sums = &part.sums[row * padded(width)..];
            for (y, part) in y.iter_mut().zip(sums) {
                *y += factor * part;
            }
        }
        y.iter_mut().for_each(|y| *y /= joined.sum);
    }
}
