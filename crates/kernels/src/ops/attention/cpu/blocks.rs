//! The result of many queries, a block of one head at a time.
//!
//! The queries meet one tile of keys after the other, so that only a strip of scores exists at a
//! time, in the cache: `o = sum_j exp(s_j - max) v_j` for the largest score so far, multiplied by
//! `exp(max - new max)` when a later tile has a larger one (Dao et al. 2022,
//! <https://arxiv.org/abs/2205.14135>). Tiles end where spans end, so that a short span costs what it
//! would alone.

use super::cut::cut;
use super::forward::Results;
use super::heads::{Wide, padded};
use super::inputs::{Inputs, rows_of};
use super::panels::Panels;
use super::spans::{KEYS, Keys, Span, Which};
use super::strip::{Strip, times_panels};
use super::tile::{Left, Right, Tile, panel};
use super::vectorized::{self, Task};
use crate::host::online::Statistics;
use metal_candle_cpu::threads::for_each_task;
use pulp::Simd;
use std::ops::Range;

/// Inputs that all tasks read.
struct ForwardInputs<'a> {
    inputs: &'a Inputs<'a>,
    q: Wide<'a>,
    /// `scale * k^T`.
    keys: Panels,
    v: Vec<Wide<'a>>,
}

/// Adds the rows of some spans.
pub(super) fn add(inputs: &Inputs<'_>, spans: Which, results: &mut Results) {
    let k = inputs.widened(0, spans);
    let shared = ForwardInputs {
        inputs,
        q: inputs.q.widened(),
        keys: Panels::new(inputs, &k, inputs.scoring.scale, spans),
        v: inputs.widened(1, spans),
    };
    let mut tasks = tasks(&shared, spans, results);
    // Under a causal mask the last queries see most: the longest tasks come first.
    tasks.sort_by_key(|task| std::cmp::Reverse(task.queries.start));
    for_each_task(tasks, inputs.work(), |memory, task| {
        vectorized::run(task, memory);
    });
}

fn tasks<'a>(
    shared: &'a ForwardInputs<'a>,
    spans: Which,
    results: &'a mut Results,
) -> Vec<ForwardTask<'a>> {
    let Inputs {
        sizes, spans: all, ..
    } = shared.inputs;
    let heads = all.heads(sizes.heads).filter(|(span, _)| spans(span));
    let places =
        heads.flat_map(|(span, head)| span.blocks().map(move |queries| (span, head, queries)));
    let places: Vec<_> = places.collect();
    let rows = || {
        let rows = |(span, head, queries): &(&Span, usize, Range<usize>)| {
            shared.inputs.rows(span, *head, queries.clone())
        };
        places.iter().map(rows)
    };
    let y = cut(&mut results.y, sizes.width, rows());
    let statistics = cut(&mut results.statistics, 1, rows());
    let parts = y.into_iter().zip(statistics);
    let task = |((span, head, queries), (y, statistics))| ForwardTask {
        shared,
        span,
        head,
        queries,
        y,
        statistics,
    };
    places.into_iter().zip(parts).map(task).collect()
}

/// Queries of one head.
struct ForwardTask<'a> {
    shared: &'a ForwardInputs<'a>,
    span: &'a Span,
    head: usize,
    queries: Range<usize>,
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

impl Task for ForwardTask<'_> {
    type Memory = Memory;

    #[inline(always)]
    fn run<S: Simd, const M: usize>(mut self, simd: S, memory: &mut Memory) {
        let strips = Strip::all::<M>(self.span, self.queries.clone());
        let width = padded(self.shared.inputs.sizes.width);
        memory.scores.resize(M * KEYS, 0.0);
        memory.sums.clear();
        memory.sums.resize(strips.len() * M * width, 0.0);
        let seen = self.span.visible.range(self.queries.clone());
        for keys in self.shared.inputs.spans.tiles(self.span) {
            if keys.end() <= seen.start || keys.position >= seen.end {
                continue;
            }
            for (i, strip) in strips.iter().enumerate() {
                let sums = &mut memory.sums[i * M * width..][..M * width];
                self.add_tile::<S, M>(simd, (strip, i * M), keys, &mut memory.scores, sums);
            }
        }
        self.finish(&memory.sums, width);
    }
}

impl ForwardTask<'_> {
    /// `y = sums / sum of exponentials`.
    #[inline(always)]
    fn finish(&mut self, sums: &[f32], width: usize) {
        let rows = self
            .y
            .chunks_exact_mut(self.shared.inputs.sizes.width.max(1));
        for ((y, sums), statistics) in rows
            .zip(sums.chunks_exact(width.max(1)))
            .zip(&*self.statistics)
        {
            for (y, sum) in y.iter_mut().zip(sums) {
                *y = sum / statistics.sum;
            }
        }
    }

    /// Adds what the queries of a strip, the first row of which is given, see of a tile of keys.
    #[inline(always)]
    fn add_tile<S: Simd, const M: usize>(
        &mut self,
        simd: S,
        (strip, row): (&Strip, usize),
        keys: Keys,
        scores: &mut [f32],
        sums: &mut [f32],
    ) {
        let columns = strip.columns::<S>(keys);
        if columns.is_empty() {
            return;
        }
        self.scores::<S, M>(simd, strip, (keys, &columns), scores);
        let statistics = &mut self.statistics[row..][..strip.queries.len()];
        let rows = scores
            .chunks_exact_mut(KEYS)
            .zip(sums.chunks_exact_mut(sums.len() / M));
        for ((scores, sums), statistics) in rows.zip(statistics) {
            let factor = statistics.add(simd, &mut scores[columns.clone()]);
            if factor != 1.0 {
                sums.iter_mut().for_each(|sum| *sum *= factor);
            }
        }
        self.add_values::<S, M>(simd, strip, (keys, &columns), scores, sums);
    }

    /// Scores of some columns of a tile, -inf where a query does not see a key.
    #[inline(always)]
    fn scores<S: Simd, const M: usize>(
        &self,
        simd: S,
        strip: &Strip,
        (keys, columns): (Keys, &Range<usize>),
        scores: &mut [f32],
    ) {
        let Inputs { sizes, scoring, .. } = self.shared.inputs;
        let q = rows_of(&self.shared.q, self.span, self.head, strip.queries.clone());
        let panels = self.shared.keys.from(self.head / sizes.group(), keys);
        times_panels::<S, M>(simd, q, panels, sizes.width, columns.clone(), scores);
        strip.bound(simd, scoring.softcap, columns.clone(), scores);
        strip.hide(&self.span.visible, keys, columns.clone(), scores);
    }

    /// `sums += scores v`.
    #[inline(always)]
    fn add_values<S: Simd, const M: usize>(
        &self,
        simd: S,
        strip: &Strip,
        (keys, columns): (Keys, &Range<usize>),
        scores: &[f32],
        sums: &mut [f32],
    ) {
        let ForwardInputs { inputs, v, .. } = self.shared;
        let p = Left {
            data: &scores[columns.start..],
            rows: strip.queries.len(),
            row: KEYS,
            step: 1,
        };
        let seen = keys.part(columns);
        let v = inputs.tokens(v, self.head / inputs.sizes.group(), seen);
        let width = sums.len() / M;
        for column in (0..width).step_by(panel::<S>()) {
            let v = Right {
                data: &v.data[column..],
                step: v.step,
            };
            let tile = Tile::<S, M>::load(simd, &sums[column..], width);
            tile.plus(simd, p, v, seen.len)
                .store(&mut sums[column..], width);
        }
    }
}
