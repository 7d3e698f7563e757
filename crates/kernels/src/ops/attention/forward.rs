//! The result, a block of queries of one head at a time.
//!
//! The queries meet one tile of keys after the other, so that only a strip of scores exists at a
//! time, in the cache: `o = sum_j exp(s_j - max) v_j` for the largest score so far, multiplied by
//! `exp(max - new max)` when a later tile has a larger one (Dao et al. 2022,
//! <https://arxiv.org/abs/2205.14135>).

use super::heads::{Heads, Wide, padded};
use super::panels::Panels;
use super::scores::{Strip, times_panels};
use super::sizes::{KEYS, QUERIES, QueryBlock, Scoring, Sizes};
use super::tile::{Left, Right, Tile, panel};
use super::visible::Visible;
use crate::host::online::Statistics;
use metal_candle_cpu::simd::dispatch;
use metal_candle_cpu::threads::for_each_task;
use pulp::{Simd, WithSimd};

/// Inputs that all tasks read.
struct ForwardInputs<'a> {
    sizes: Sizes,
    visible: &'a Visible,
    softcap: Option<f32>,
    q: Wide<'a>,
    /// `scale * k^T`.
    keys: Panels,
    v: Wide<'a>,
}

/// The result `(B, H, Tq, D)` and the statistics of its rows.
pub(super) fn forward(
    sizes: Sizes,
    visible: &Visible,
    scoring: Scoring,
    [q, k, v]: [&Heads<'_>; 3],
) -> (Vec<f32>, Vec<Statistics>) {
    let rows = sizes.batch * sizes.heads * sizes.queries;
    let mut y = vec![0.0; rows * sizes.width];
    let mut statistics = vec![Statistics::default(); rows];
    let inputs = ForwardInputs {
        sizes,
        visible,
        softcap: scoring.softcap,
        q: q.widened(),
        keys: Panels::new(&k.widened(), scoring.scale, sizes),
        v: v.widened(),
    };
    let mut tasks = tasks(&inputs, &mut y, &mut statistics);
    // Under a causal mask the last queries see most: the longest tasks come first.
    tasks.sort_by_key(|task| std::cmp::Reverse(task.rows.queries.start));
    for_each_task(tasks, sizes.work(), |memory, task| {
        dispatch(Vectorized { task, memory });
    });
    (y, statistics)
}

fn tasks<'a>(
    inputs: &'a ForwardInputs<'a>,
    y: &'a mut [f32],
    statistics: &'a mut [Statistics],
) -> Vec<ForwardTask<'a>> {
    let sizes = inputs.sizes;
    let mut tasks = vec![];
    let head = (sizes.queries * sizes.width).max(1);
    let heads = y.chunks_mut(head);
    let heads = heads.zip(statistics.chunks_mut(sizes.queries.max(1)));
    for (i, (y, statistics)) in heads.enumerate() {
        let parts = y.chunks_mut(QUERIES * sizes.width);
        for (part, (y, statistics)) in parts.zip(statistics.chunks_mut(QUERIES)).enumerate() {
            let first = part * QUERIES;
            let rows = QueryBlock {
                batch: i / sizes.heads,
                head: i % sizes.heads,
                queries: first..first + statistics.len(),
            };
            tasks.push(ForwardTask {
                inputs,
                rows,
                y,
                statistics,
            });
        }
    }
    tasks
}

struct ForwardTask<'a> {
    inputs: &'a ForwardInputs<'a>,
    rows: QueryBlock,
    y: &'a mut [f32],
    statistics: &'a mut [Statistics],
}

/// Memory that every task of a thread uses again.
#[derive(Default)]
struct Memory {
    /// `(M, KEYS)`.
    scores: Vec<f32>,
    /// Sums of values, `(QUERIES, D)` in whole panels.
    sums: Vec<f32>,
}

struct Vectorized<'a, 'b> {
    task: ForwardTask<'a>,
    memory: &'b mut Memory,
}

impl WithSimd for Vectorized<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Two registers a row, and three more for the factors.
        match S::REGISTER_COUNT {
            32.. => self.task.run::<S, 8>(simd, self.memory),
            _ => self.task.run::<S, 6>(simd, self.memory),
        }
    }
}

impl ForwardTask<'_> {
    #[inline(always)]
    fn run<S: Simd, const M: usize>(mut self, simd: S, memory: &mut Memory) {
        let ForwardInputs { sizes, visible, .. } = self.inputs;
        let width = padded(sizes.width);
        memory.scores.resize(M * KEYS, 0.0);
        memory.sums.clear();
        memory.sums.resize(QUERIES * width, 0.0);
        let strips: Vec<_> = (0..self.rows.len())
            .step_by(M)
            .map(|first| {
                let rows = self.rows.part(first, M);
                let keys = visible.range(rows.batch, rows.queries.clone());
                Strip { rows, keys }
            })
            .collect();
        let first = strips.iter().map(|s| s.keys.start).min().unwrap_or(0);
        let end = strips.iter().map(|s| s.keys.end).max().unwrap_or(0);
        for tile in (first / KEYS * KEYS..end).step_by(KEYS) {
            for (i, strip) in strips.iter().enumerate() {
                let sums = &mut memory.sums[i * M * width..][..M * width];
                let statistics = &mut self.statistics[i * M..][..strip.rows.len()];
                let scores = &mut memory.scores[..];
                add_tile::<S, M>(simd, self.inputs, strip, tile, scores, statistics, sums);
            }
        }
        self.finish(&memory.sums, width);
    }

    /// `y = sums / sum of exponentials`.
    #[inline(always)]
    fn finish(&mut self, sums: &[f32], width: usize) {
        let rows = self.y.chunks_exact_mut(self.inputs.sizes.width);
        for ((y, sums), statistics) in rows.zip(sums.chunks_exact(width)).zip(&*self.statistics) {
            for (y, sum) in y.iter_mut().zip(sums) {
                *y = sum / statistics.sum;
            }
        }
    }
}

/// Adds what the queries of a strip see of a tile of keys.
#[inline(always)]
fn add_tile<S: Simd, const M: usize>(
    simd: S,
    inputs: &ForwardInputs<'_>,
    strip: &Strip,
    first: usize,
    scores: &mut [f32],
    statistics: &mut [Statistics],
    sums: &mut [f32],
) {
    let columns = strip.columns::<S>(first);
    if columns.is_empty() {
        return;
    }
    let sizes = inputs.sizes;
    let QueryBlock {
        batch,
        head,
        queries,
    } = &strip.rows;
    let kv_head = head / sizes.group();
    let width = sums.len() / M;

    let q = inputs.q.tokens(*batch, *head, queries.start);
    let q = Left {
        data: q.data,
        rows: queries.len(),
        row: q.step,
        step: 1,
    };
    let panels = inputs.keys.from(*batch, kv_head, first);
    times_panels::<S, M>(simd, q, panels, sizes.width, columns.clone(), scores);
    strip.bound(simd, inputs.softcap, columns.clone(), scores);
    strip.hide(inputs.visible, first, columns.clone(), scores);

    let rows = scores
        .chunks_exact_mut(KEYS)
        .zip(sums.chunks_exact_mut(width));
    for ((scores, sums), statistics) in rows.zip(statistics) {
        let factor = statistics.add(simd, &mut scores[columns.clone()]);
        if factor != 1.0 {
            sums.iter_mut().for_each(|sum| *sum *= factor);
        }
    }

    let start = first + columns.start;
    let p = Left {
        data: &scores[columns.start..],
        rows: queries.len(),
        row: KEYS,
        step: 1,
    };
    let v = inputs.v.tokens(*batch, kv_head, start);
    let steps = (first + columns.end).min(sizes.keys) - start;
    for column in (0..width).step_by(panel::<S>()) {
        let v = Right {
            data: &v.data[column..],
            step: v.step,
        };
        let tile = Tile::<S, M>::load(simd, &sums[column..], width);
        tile.plus(simd, p, v, steps)
            .store(&mut sums[column..], width);
    }
}
