//! A block of rows of scores at a time, so that no `Tq x Tk` matrix of a head ever exists.
//!
//! Forward keeps the maximum and the sum of exponentials of each row; backward computes the
//! probabilities again from them (Dao et al. 2022, <https://arxiv.org/abs/2205.14135>). They are
//! kept apart, not as one `max + ln(sum)`, which would round away the digits of large scores.

use super::cpu::Attention;
use super::heads::Heads;
use crate::math;
use crate::ops::matmul::cpu::{Matrix, MatrixMut, Then, Threads, product};
use crate::threads::for_each_task;
use std::ops::Range;

/// Rows of scores that a thread holds at a time: with 2048 keys, 512 KiB. Between 32 and 128 rows
/// the time of a core differs by less than 5 % (512 and 2048 keys, heads of 64, AVX-512).
const BLOCK_ROWS: usize = 64;

#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) batch: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) queries: usize,
    pub(super) keys: usize,
    pub(super) width: usize,
}

impl Sizes {
    /// Query heads per key-value head.
    fn group(self) -> usize {
        self.heads / self.kv_heads
    }
}

/// `probability = exp(score - max) * reciprocal_sum`.
#[derive(Clone, Copy, Default)]
pub(super) struct Statistics {
    max: f32,
    reciprocal_sum: f32,
}

pub(super) struct Inputs<'a> {
    pub(super) op: &'a Attention,
    pub(super) q: Heads<'a>,
    pub(super) k: Heads<'a>,
    pub(super) v: Heads<'a>,
}

/// Memory that every block of a thread uses again.
#[derive(Default)]
struct Buffers {
    /// `scale * q`, `(rows, D)`.
    q: Vec<f32>,
    /// `(rows, D)`.
    dy: Vec<f32>,
    /// Scores, then probabilities, `(rows, keys)`.
    p: Vec<f32>,
    /// Gradient of the probabilities, then of the scores, `(rows, keys)`.
    dp: Vec<f32>,
}

/// Consecutive rows of a group: the queries of its first head, of its second, and so on.
#[derive(Clone, Copy)]
struct Block {
    batch: usize,
    kv_head: usize,
    first: usize,
    rows: usize,
}

impl Block {
    /// Batch, head and query of a row.
    fn place(self, row: usize, sizes: Sizes) -> (usize, usize, usize) {
        let row = self.first + row;
        let head = self.kv_head * sizes.group() + row / sizes.queries;
        (self.batch, head, row % sizes.queries)
    }

    /// The queries of all rows: every query when a block reaches into the next head.
    fn queries(self, sizes: Sizes) -> Range<usize> {
        let first = self.first % sizes.queries;
        match first + self.rows <= sizes.queries {
            true => first..first + self.rows,
            false => 0..sizes.queries,
        }
    }
}

impl Inputs<'_> {
    /// The result `(B, H, Tq, D)` and the statistics of its rows.
    pub(super) fn forward(&self, elements: usize) -> (Vec<f32>, Vec<Statistics>) {
        let sizes = self.op.sizes;
        // Rows that share keys. One query of all heads of a group is one block: decoding reads
        // the keys once.
        let group_rows = sizes.group() * sizes.queries;
        let width = sizes.width.max(1);
        let mut y = vec![0.0; elements];
        let mut statistics = vec![Statistics::default(); elements / width];
        let mut tasks = vec![];
        let groups = y.chunks_mut((group_rows * width).max(1));
        let groups = groups.zip(statistics.chunks_mut(group_rows.max(1)));
        for (group, (y, statistics)) in groups.enumerate() {
            let blocks = y.chunks_mut(BLOCK_ROWS * width);
            for (i, task) in blocks.zip(statistics.chunks_mut(BLOCK_ROWS)).enumerate() {
                let block = Block {
                    batch: group / sizes.kv_heads,
                    kv_head: group % sizes.kv_heads,
                    first: i * BLOCK_ROWS,
                    rows: task.1.len(),
                };
                tasks.push((block, task));
            }
        }
        for_each_task(tasks, self.work(), |buffers, (block, (y, statistics))| {
            self.forward_block(block, buffers, y, statistics);
        });
        (y, statistics)
    }

    /// In elements of a loop over memory: products do some tens of operations in the time of one.
    fn work(&self) -> usize {
        let sizes = self.op.sizes;
        sizes.batch * sizes.heads * sizes.queries * sizes.keys * sizes.width / 16
    }

    fn forward_block(
        &self,
        block: Block,
        buffers: &mut Buffers,
        y: &mut [f32],
        statistics: &mut [Statistics],
    ) {
        let keys = self.scores(block, buffers);
        let rows = buffers.p.chunks_exact_mut(keys.len().max(1));
        for (scores, statistics) in rows.zip(statistics.iter_mut()) {
            statistics.max = math::max(scores);
            exponentials(scores, statistics.max);
            statistics.reciprocal_sum = 1.0 / math::sum(scores);
        }
        let p = Matrix::new(&buffers.p, block.rows, keys.len());
        let v = self.v.tokens(block.batch, block.kv_head, keys);
        let width = self.op.sizes.width;
        let y_block = MatrixMut::new(y, block.rows, width);
        product(y_block, Then::Write, 1.0, p, v, Threads::One);
        for (y, statistics) in y.chunks_exact_mut(width).zip(statistics) {
            math::scale(y, statistics.reciprocal_sum);
        }
    }

    /// Writes the block's queries and its scores, -inf where hidden, and returns their keys.
    fn scores(&self, block: Block, buffers: &mut Buffers) -> Range<usize> {
        let sizes = self.op.sizes;
        let visible = &self.op.visible;
        let keys = visible.range(block.batch, block.queries(sizes));
        buffers.q.clear();
        for row in 0..block.rows {
            let place = block.place(row, sizes);
            self.q.copy(place, self.op.scale, &mut buffers.q);
        }
        buffers.p.resize(block.rows * keys.len(), 0.0);
        let q = Matrix::new(&buffers.q, block.rows, sizes.width);
        let k = self.k.tokens(block.batch, block.kv_head, keys.clone());
        let scores = MatrixMut::new(&mut buffers.p, block.rows, keys.len());
        product(scores, Then::Write, 1.0, q, k.transposed(), Threads::One);
        let rows = buffers.p.chunks_exact_mut(keys.len().max(1));
        for (row, scores) in rows.enumerate() {
            let query = block.place(row, sizes).2;
            visible.hide(block.batch, query, keys.start, scores);
        }
        keys
    }
}

fn exponentials(scores: &mut [f32], max: f32) {
    for score in scores {
        *score = math::exp(*score - max);
    }
}

/// The gradients of one query head, `(Tq, D)` and twice `(Tk, D)`, where they are wanted.
struct HeadGradients<'a> {
    dq: Option<&'a mut [f32]>,
    dk: Option<&'a mut [f32]>,
    dv: Option<&'a mut [f32]>,
}

impl Inputs<'_> {
    /// The gradients of `q`, `k` and `v`, those of them that are tracked.
    pub(super) fn backward(
        &self,
        dy: &Heads<'_>,
        statistics: &[Statistics],
        tracked: [bool; 3],
    ) -> [Option<Vec<f32>>; 3] {
        let sizes = self.op.sizes;
        let heads = sizes.batch * sizes.heads;
        let fresh = |i: usize, tokens| {
            let elements = heads * tokens * sizes.width;
            tracked[i].then(|| vec![0.0; elements])
        };
        let mut dq = fresh(0, sizes.queries);
        // One for each query head; a group's are added up afterwards, in one order.
        let mut dk = fresh(1, sizes.keys);
        let mut dv = fresh(2, sizes.keys);
        let gradients = per_head(&mut dq, heads)
            .into_iter()
            .zip(per_head(&mut dk, heads))
            .zip(per_head(&mut dv, heads))
            .map(|((dq, dk), dv)| HeadGradients { dq, dk, dv });
        let statistics = statistics.chunks(sizes.queries.max(1));
        let tasks = gradients.zip(statistics).enumerate().collect();
        for_each_task(
            tasks,
            self.work(),
            |buffers, (head, (gradients, statistics))| {
                self.backward_head(head, dy, statistics, buffers, gradients);
            },
        );
        [
            dq,
            dk.map(|dk| self.group_sums(dk)),
            dv.map(|dv| self.group_sums(dv)),
        ]
    }

    fn backward_head(
        &self,
        index: usize,
        dy: &Heads<'_>,
        statistics: &[Statistics],
        buffers: &mut Buffers,
        mut gradients: HeadGradients<'_>,
    ) {
        let sizes = self.op.sizes;
        let (batch, head) = (index / sizes.heads, index % sizes.heads);
        for (i, statistics) in statistics.chunks(BLOCK_ROWS).enumerate() {
            let block = Block {
                batch,
                kv_head: head / sizes.group(),
                first: head % sizes.group() * sizes.queries + i * BLOCK_ROWS,
                rows: statistics.len(),
            };
            self.backward_block(block, dy, statistics, buffers, &mut gradients);
        }
    }

    fn backward_block(
        &self,
        block: Block,
        dy: &Heads<'_>,
        statistics: &[Statistics],
        buffers: &mut Buffers,
        gradients: &mut HeadGradients<'_>,
    ) {
        let sizes = self.op.sizes;
        let keys = self.scores(block, buffers);
        probabilities(&mut buffers.p, keys.len(), statistics);
        buffers.dy.clear();
        for row in 0..block.rows {
            dy.copy(block.place(row, sizes), 1.0, &mut buffers.dy);
        }
        let (rows, width) = (block.rows, sizes.width);
        let within_keys = keys.start * width..keys.end * width;
        let dy = Matrix::new(&buffers.dy, rows, width);
        if let Some(dv) = &mut gradients.dv {
            let dv = MatrixMut::new(&mut dv[within_keys.clone()], keys.len(), width);
            let p = Matrix::new(&buffers.p, rows, keys.len());
            product(dv, Then::Add, 1.0, p.transposed(), dy, Threads::One);
        }
        if gradients.dq.is_none() && gradients.dk.is_none() {
            return;
        }
        let v = self.v.tokens(block.batch, block.kv_head, keys.clone());
        buffers.dp.resize(rows * keys.len(), 0.0);
        let dp = MatrixMut::new(&mut buffers.dp, rows, keys.len());
        product(dp, Then::Write, 1.0, dy, v.transposed(), Threads::One);
        score_gradients(&buffers.p, &mut buffers.dp, keys.len());
        let dscores = Matrix::new(&buffers.dp, rows, keys.len());
        if let Some(dq) = &mut gradients.dq {
            let start = block.queries(sizes).start * width;
            let dq = MatrixMut::new(&mut dq[start..], rows, width);
            let k = self.k.tokens(block.batch, block.kv_head, keys.clone());
            product(dq, Then::Write, self.op.scale, dscores, k, Threads::One);
        }
        if let Some(dk) = &mut gradients.dk {
            let dk = MatrixMut::new(&mut dk[within_keys], keys.len(), width);
            let q = Matrix::new(&buffers.q, rows, width);
            product(dk, Then::Add, 1.0, dscores.transposed(), q, Threads::One);
        }
    }

    /// `(B, H, Tk, D)` -> `(B, G, Tk, D)`.
    fn group_sums(&self, parts: Vec<f32>) -> Vec<f32> {
        let group = self.op.sizes.group();
        if group == 1 {
            return parts;
        }
        let head = (self.op.sizes.keys * self.op.sizes.width).max(1);
        let mut sums = vec![0.0; parts.len() / group];
        let tasks = sums.chunks_mut(head).zip(parts.chunks(group * head));
        for_each_task(tasks.collect(), parts.len(), |_: &mut (), (sum, parts)| {
            for part in parts.chunks_exact(head) {
                math::add_scaled(sum, 1.0, part);
            }
        });
        sums
    }
}

/// A part for each of `count` heads; nothing for each when there is nothing.
fn per_head(values: &mut Option<Vec<f32>>, count: usize) -> Vec<Option<&mut [f32]>> {
    match values {
        Some(values) => {
            let len = values.len() / count.max(1);
            values.chunks_mut(len.max(1)).map(Some).collect()
        }
        None => (0..count).map(|_| None).collect(),
    }
}

fn probabilities(scores: &mut [f32], keys: usize, statistics: &[Statistics]) {
    for (scores, statistics) in scores.chunks_exact_mut(keys.max(1)).zip(statistics) {
        exponentials(scores, statistics.max);
        math::scale(scores, statistics.reciprocal_sum);
    }
}

/// `dscores = p * (dp - sum(p * dp))`.
fn score_gradients(p: &[f32], dp: &mut [f32], keys: usize) {
    let keys = keys.max(1);
    for (p, dp) in p.chunks_exact(keys).zip(dp.chunks_exact_mut(keys)) {
        let mean = math::dot(p, dp);
        for (dp, p) in dp.iter_mut().zip(p) {
            *dp = p * (*dp - mean);
        }
    }
}
