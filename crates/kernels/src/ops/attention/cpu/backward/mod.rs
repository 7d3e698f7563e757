//! The gradients, a tile of keys at a time.
//!
//! The probabilities are computed again from the statistics of forward. A task owns the gradients of
//! a tile of keys and values, sums over all queries of the group that see it, and adds its part of
//! `dq` to the whole when the tiles of the span before it have added theirs: every sum has one order, and
//! nothing is held for each query head (Dao et al. 2022, <https://arxiv.org/abs/2205.14135>). Spans do
//! not wait for each other.

mod delta;
mod gradients;
mod ordered;
mod products;
mod scores;
mod task;

use super::cut::cut;
use super::heads::{Heads, Wide};
use super::inputs::Inputs;
use super::panels::Panels;
use super::spans::{Keys, Span};
use super::vectorized;
use crate::host::online::Statistics;
use delta::deltas;
use metal_candle_cpu::threads::for_each_task;
use ordered::OrderedSum;
use task::BackwardTask;

/// Tensors that forward read and wrote, and the gradient of its result.
pub(super) struct Forward<'a> {
    /// Inputs with one pair of keys and values.
    pub(super) inputs: Inputs<'a>,
    /// `Tk` of it.
    pub(super) keys: usize,
    pub(super) y: Heads<'a>,
    pub(super) statistics: &'a [Statistics],
    pub(super) dy: Heads<'a>,
}

/// Inputs that all tasks read.
struct BackwardInputs<'a> {
    inputs: &'a Inputs<'a>,
    q: Wide<'a>,
    k: Vec<Wide<'a>>,
    dy: Wide<'a>,
    /// `scale * k^T`.
    keys: Panels,
    /// `v^T`.
    values: Panels,
    statistics: &'a [Statistics],
    deltas: Vec<f32>,
    wants_scores: bool,
}

impl<'a> BackwardInputs<'a> {
    fn new(forward: &'a Forward<'_>, wants_scores: bool) -> Self {
        let (inputs, all) = (&forward.inputs, |_: &Span| true);
        let k = inputs.widened(0, all);
        let (y, dy) = (forward.y.widened(), forward.dy.widened());
        Self {
            inputs,
            q: inputs.q.widened(),
            keys: Panels::new(inputs, &k, inputs.scoring.scale, all),
            values: Panels::new(inputs, &inputs.widened(1, all), 1.0, all),
            k,
            statistics: forward.statistics,
            deltas: deltas(&y, &dy, inputs.sizes),
            dy,
            wants_scores,
        }
    }
}

/// The gradients of `q`, `k` and `v`, those of them that are tracked.
pub(super) fn backward(forward: &Forward<'_>, tracked: [bool; 3]) -> [Option<Vec<f32>>; 3] {
    let shared = BackwardInputs::new(forward, tracked[0] || tracked[1]);
    let sizes = shared.inputs.sizes;
    let fresh = |i: usize, heads, tokens| {
        let elements = sizes.batch * heads * tokens * sizes.width;
        tracked[i].then(|| vec![0.0; elements])
    };
    let mut dq = fresh(0, sizes.heads, sizes.queries);
    let [mut dk, mut dv] = [1, 2].map(|i| fresh(i, sizes.kv_heads, forward.keys));
    let dq_sums = dq.as_deref_mut().map(|dq| dq_sums(&shared, dq));
    let kv = [dk.as_deref_mut(), dv.as_deref_mut()];
    let tasks = tasks(&shared, dq_sums.as_deref(), kv, forward.keys);
    for_each_task(tasks, shared.inputs.work(), |memory, task| {
        vectorized::run(task, memory);
    });
    drop(dq_sums);
    [dq, dk, dv]
}

/// Blocks of queries of every span, `(H, blocks)` of each.
fn dq_sums<'s, 'a>(shared: &'s BackwardInputs<'_>, dq: &'a mut [f32]) -> Vec<Vec<OrderedSum<'a>>> {
    let Inputs { sizes, spans, .. } = shared.inputs;
    let blocks = || {
        let blocks = |(span, head): (&'s Span, usize)| {
            span.blocks().map(move |queries| (span, head, queries))
        };
        spans.heads(sizes.heads).flat_map(blocks)
    };
    let rows = blocks().map(|(span, head, queries)| shared.inputs.rows(span, head, queries));
    let parts = cut(dq, sizes.width, rows);
    let mut dq_sums: Vec<Vec<_>> = spans.iter().map(|_| vec![]).collect();
    for ((span, _, queries), dq) in blocks().zip(parts) {
        let seen = span.visible.range(queries);
        let first = spans.tiles(span).position(|keys| keys.end() > seen.start);
        dq_sums[span.number].push(OrderedSum::new(first.unwrap_or(0), dq));
    }
    dq_sums
}

/// The tiles of all heads, the first of every span before the second of any: no task waits for one
/// that comes after it, and under a causal mask the first ones are the longest.
fn tasks<'a, 'q>(
    shared: &'a BackwardInputs<'a>,
    dq_sums: Option<&'a [Vec<OrderedSum<'q>>]>,
    [dk, dv]: [Option<&'a mut [f32]>; 2],
    n_keys: usize,
) -> Vec<BackwardTask<'a, 'q>> {
    let Inputs { sizes, spans, .. } = shared.inputs;
    let heads = spans.heads(sizes.kv_heads);
    let tiles = heads.flat_map(|(span, kv_head)| {
        let tiles = spans.tiles(span).enumerate();
        tiles.map(move |(number, keys)| (span, kv_head, number, keys))
    });
    let tiles: Vec<_> = tiles.collect();
    let rows = || {
        tiles.iter().map(|(_, kv_head, _, keys)| {
            let piece = &spans.pieces[keys.piece];
            let head = piece.row * sizes.kv_heads + kv_head;
            let first = head * n_keys + piece.first + keys.first;
            first..first + keys.len
        })
    };
    let [mut dk, mut dv] = [dk, dv].map(|d| d.map(|d| cut(d, sizes.width, rows()).into_iter()));
    let task = |(span, kv_head, number, keys): (&'a Span, _, _, Keys)| BackwardTask {
        shared,
        dq_sums: dq_sums.map(|dq_sums| &dq_sums[span.number][..]),
        span,
        kv_head,
        number,
        keys,
        dk: dk.as_mut().and_then(Iterator::next),
        dv: dv.as_mut().and_then(Iterator::next),
    };
    let mut tasks: Vec<_> = tiles.iter().copied().map(task).collect();
    tasks.sort_by_key(|task| task.number);
    tasks
}
