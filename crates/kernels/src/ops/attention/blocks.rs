//! A block of rows of scores at a time, so that no `Tq x Tk` matrix of a head ever exists.
//!
//! Forward keeps the maximum and the sum of exponentials of each row; backward computes the
//! probabilities again from them (Dao et al. 2022, <https://arxiv.org/abs/2205.14135>). They are
//! kept apart, not as one `max + ln(sum)`, which would round away the digits of large scores.

use super::cpu::Attention;
use super::heads::Heads;
use crate::gemm::{Matrix, MatrixMut, Then, Threads, product};
use crate::math;
use crate::threads::for_each_task;
use std::ops::Range;

/// Rows of scores that a thread holds at a time: with 2048 keys, 512 KiB. Between 32 and 128 rows
/// the time of a core differs by less than 5 % (512 and 2048 keys, heads of 64, AVX-512).
pub(super) const BLOCK_ROWS: usize = 64;

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
    pub(super) fn group(self) -> usize {
        self.heads / self.kv_heads
    }
}

/// `probability = exp(score - max) * reciprocal_sum`.
#[derive(Clone, Copy, Default)]
pub(super) struct Statistics {
    pub(super) max: f32,
    pub(super) reciprocal_sum: f32,
}

pub(super) struct Inputs<'a> {
    pub(super) op: &'a Attention,
    pub(super) q: Heads<'a>,
    pub(super) k: Heads<'a>,
    pub(super) v: Heads<'a>,
}

/// Memory that every block of a thread uses again.
#[derive(Default)]
pub(super) struct Buffers {
    /// `scale * q`, `(rows, D)`.
    pub(super) q: Vec<f32>,
    /// `(rows, D)`.
    pub(super) dy: Vec<f32>,
    /// Scores, then probabilities, `(rows, keys)`.
    pub(super) p: Vec<f32>,
    /// Gradient of the probabilities, then of the scores, `(rows, keys)`.
    pub(super) dp: Vec<f32>,
}

/// Consecutive rows of a group: the queries of its first head, of its second, and so on.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub(super) batch: usize,
    pub(super) kv_head: usize,
    pub(super) first: usize,
    pub(super) rows: usize,
}

impl Block {
    /// Batch, head and query of a row.
    pub(super) fn place(self, row: usize, sizes: Sizes) -> (usize, usize, usize) {
        let row = self.first + row;
        let head = self.kv_head * sizes.group() + row / sizes.queries;
        (self.batch, head, row % sizes.queries)
    }

    /// The queries of all rows: every query when a block reaches into the next head.
    pub(super) fn queries(self, sizes: Sizes) -> Range<usize> {
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
    pub(super) fn work(&self) -> usize {
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
    pub(super) fn scores(&self, block: Block, buffers: &mut Buffers) -> Range<usize> {
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

pub(super) fn exponentials(scores: &mut [f32], max: f32) {
    for score in scores {
        *score = math::exp(*score - max);
    }
}
