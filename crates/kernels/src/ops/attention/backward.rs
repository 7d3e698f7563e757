//! The gradients, block after block of a head's rows.

use super::blocks::{BLOCK_ROWS, Block, Buffers, Inputs, Statistics, exponentials};
use super::heads::Heads;
use crate::gemm::{Matrix, MatrixMut, Then, Threads, product};
use crate::math;
use crate::threads::for_each_task;

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
