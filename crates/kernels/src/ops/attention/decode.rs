//! One query a head against a cache of keys: the time is that of reading the cache.
//!
//! The heads of a group read its keys and values once, in the dtype and the order they are stored
//! in. The keys are cut into ranges, so that few heads keep all threads busy; the results of the
//! ranges are joined in order like the tiles of `forward.rs`, as if each had been multiplied with
//! `exp(its max - max of all)`.

use super::heads::{Heads, Wide, padded};
use super::sizes::{Scoring, Sizes};
use super::tile::{Left, Right, Tile, panel};
use super::visible::Visible;
use crate::host::online::Statistics;
use crate::ops::softcap::registers::bound;
use metal_candle_cpu::math::dot_f32s;
use metal_candle_cpu::simd::dispatch;
use metal_candle_cpu::threads::for_each_task;
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Keys of a task: half a million bytes of a cache of 64 columns, with its values.
const RANGE: usize = 512;

/// Keys whose scores are computed before their values are read; they stay in the first cache.
const STEP: usize = 64;

struct DecodeInputs<'a> {
    sizes: Sizes,
    visible: &'a Visible,
    scoring: Scoring,
    q: Wide<'a>,
    k: &'a Heads<'a>,
    v: &'a Heads<'a>,
}

/// The result `(B, H, 1, D)` and the statistics of its rows.
pub(super) fn decode(
    sizes: Sizes,
    visible: &Visible,
    scoring: Scoring,
    [q, k, v]: [&Heads<'_>; 3],
) -> (Vec<f32>, Vec<Statistics>) {
    let q = q.widened();
    let inputs = DecodeInputs {
        sizes,
        visible,
        scoring,
        q,
        k,
        v,
    };
    let ranges = sizes.keys.div_ceil(RANGE);
    let part = || Part {
        sums: vec![],
        statistics: vec![Statistics::default(); sizes.group()],
    };
    let count = sizes.batch * sizes.kv_heads * ranges;
    let mut parts: Vec<_> = (0..count).map(|_| part()).collect();
    let tasks = parts.iter_mut().enumerate().map(|(i, part)| DecodeTask {
        inputs: &inputs,
        head: i / ranges,
        range: i % ranges * RANGE..((i % ranges + 1) * RANGE).min(sizes.keys),
        part,
    });
    // Memory is what limits, not arithmetic.
    let elements = 2 * sizes.batch * sizes.kv_heads * sizes.keys * sizes.width;
    for_each_task(tasks.collect(), elements, |memory, task| {
        dispatch(Vectorized { task, memory });
    });
    join(&parts, ranges, sizes)
}

/// Results of one range of keys for the heads of a group.
struct Part {
    /// `sum_j exp(score_j - max) v_j`, `(H / G, D)` in whole panels.
    sums: Vec<f32>,
    statistics: Vec<Statistics>,
}

struct DecodeTask<'a> {
    inputs: &'a DecodeInputs<'a>,
    /// Number among all key-value heads of the batch.
    head: usize,
    range: Range<usize>,
    part: &'a mut Part,
}

/// Memory that every task of a thread uses again.
#[derive(Default)]
struct Memory {
    /// Scores of a group, `(H / G, STEP)`.
    scores: Vec<f32>,
    /// Keys or values, where they are not float32 in whole panels.
    rows: Vec<f32>,
}

struct Vectorized<'a, 'b> {
    task: DecodeTask<'a>,
    memory: &'b mut Memory,
}

impl WithSimd for Vectorized<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::REGISTER_COUNT {
            32.. => self.task.run::<S, 8>(simd, self.memory),
            _ => self.task.run::<S, 6>(simd, self.memory),
        }
    }
}

impl DecodeTask<'_> {
    #[inline(always)]
    fn run<S: Simd, const M: usize>(mut self, simd: S, memory: &mut Memory) {
        let Sizes {
            kv_heads, width, ..
        } = self.inputs.sizes;
        let rows = self.inputs.sizes.group().next_multiple_of(M);
        memory.scores.resize(rows * STEP, 0.0);
        self.part.sums.resize(rows * padded(width), 0.0);
        let seen = self.inputs.visible.range(self.head / kv_heads, 0..1);
        let keys = self.range.start.max(seen.start)..self.range.end.min(seen.end);
        for first in keys.clone().step_by(STEP) {
            let keys = first..(first + STEP).min(keys.end);
            self.scores(simd, keys.clone(), memory);
            self.add_values::<S, M>(simd, keys, memory);
        }
    }

    /// Exponentials of the scores of some keys, with what is not there zero.
    #[inline(always)]
    fn scores<S: Simd>(&mut self, simd: S, keys: Range<usize>, memory: &mut Memory) {
        let DecodeInputs {
            sizes,
            visible,
            scoring,
            q,
            k,
            ..
        } = self.inputs;
        let (batch, head) = (self.head / sizes.kv_heads, self.head % sizes.kv_heads);
        let k = k.read(batch, head, keys.clone(), &mut memory.rows);
        for i in 0..keys.len() {
            let k = &k.data[i * k.step..][..sizes.width];
            for row in 0..sizes.group() {
                let q = q.tokens(batch, head * sizes.group() + row, 0);
                let score = dot_f32s(simd, &q.data[..sizes.width], k);
                memory.scores[row * STEP + i] = scoring.scale * score;
            }
        }
        let width = padded(sizes.width);
        let sums = self.part.sums.chunks_exact_mut(width);
        let rows = memory.scores.chunks_exact_mut(STEP).zip(sums);
        for ((scores, sums), statistics) in rows.zip(&mut self.part.statistics) {
            if let Some(cap) = scoring.softcap {
                bound(simd, &mut scores[..keys.len()], cap);
            }
            scores[keys.len()..].fill(f32::NEG_INFINITY);
            visible.hide(batch, 0, keys.start, &mut scores[..keys.len()]);
            let factor = statistics.add(simd, scores);
            if factor != 1.0 {
                sums.iter_mut().for_each(|sum| *sum *= factor);
            }
        }
    }

    #[inline(always)]
    fn add_values<S: Simd, const M: usize>(
        &mut self,
        simd: S,
        keys: Range<usize>,
        memory: &mut Memory,
    ) {
        let sizes = self.inputs.sizes;
        let (batch, head) = (self.head / sizes.kv_heads, self.head % sizes.kv_heads);
        let Memory { scores, rows } = memory;
        let v = self.inputs.v.read(batch, head, keys.clone(), rows);
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
                let sums = &mut self.part.sums[row * width + column..];
                let tile = Tile::<S, M>::load(simd, sums, width);
                tile.plus(simd, p, v, keys.len()).store(sums, width);
            }
        }
    }
}

/// One result from those of all ranges.
fn join(parts: &[Part], ranges: usize, sizes: Sizes) -> (Vec<f32>, Vec<Statistics>) {
    let (mut y, mut statistics) = (vec![], vec![]);
    for parts in parts.chunks_exact(ranges) {
        for row in 0..sizes.group() {
            let joined = Statistics::joined(parts.iter().map(|part| part.statistics[row]));
            statistics.push(joined);
            let start = y.len();
            y.resize(start + sizes.width, 0.0);
            for part in parts {
                let factor = part.statistics[row].factor(joined.max);
                let sums = &part.sums[row * padded(sizes.width)..];
                for (y, part) in y[start..].iter_mut().zip(sums) {
                    *y += factor * part;
                }
            }
            y[start..].iter_mut().for_each(|y| *y /= joined.sum);
        }
    }
    (y, statistics)
}
