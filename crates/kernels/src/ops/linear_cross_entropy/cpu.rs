//! Chunks of rows through one buffer of logits, which becomes their gradient in place.

use super::TrainedRows;
use super::chunked::SavedLoss;
use crate::Result;
use crate::gemm::{Matrix, MatrixMut, Then, product};
use crate::host::{Rows, on_host};
use crate::math;
use crate::simd::dispatch;
use crate::threads::for_each_task;
use crate::vector::update;
use candle_core::{Device, Tensor};
use pulp::{Simd, WithSimd};

/// The loss and the gradients of tracked inputs.
pub(super) fn compute(
    hidden: &Tensor,
    weight: &Tensor,
    rows: &TrainedRows,
    chunk_rows: usize,
) -> Result<SavedLoss> {
    let (hidden_storage, hidden_layout) = hidden.storage_and_layout();
    let (weight_storage, weight_layout) = weight.storage_and_layout();
    let head = Head {
        hidden: Rows::of(&hidden_storage, hidden_layout)?,
        weight: Matrix::of(on_host(&weight_storage)?, weight_layout)?,
    };
    let mut sums = Sums {
        loss: 0.0,
        dhidden: hidden.track_op().then(|| vec![0.0; hidden.elem_count()]),
        dweight: weight.track_op().then(|| vec![0.0; weight.elem_count()]),
    };
    let mut buffers = Buffers::default();
    let targets = rows.targets.chunks(chunk_rows);
    for (indices, targets) in rows.indices.chunks(chunk_rows).zip(targets) {
        head.add_chunk(indices, targets, &mut buffers, &mut sums);
    }
    let tensor = |values: Option<Vec<f32>>, like: &Tensor| {
        let tensor = values.map(|values| Tensor::from_vec(values, like.shape(), &Device::Cpu));
        tensor.transpose()
    };
    Ok(SavedLoss {
        loss: Tensor::new(sums.loss as f32, &Device::Cpu)?,
        dhidden: tensor(sums.dhidden, hidden)?,
        dweight: tensor(sums.dweight, weight)?,
    })
}

/// Results, over all chunks so far.
struct Sums {
    /// Added up in f64: a sum over as many tokens as the caller likes.
    loss: f64,
    /// `(N, D)`, zero where no row is trained.
    dhidden: Option<Vec<f32>>,
    /// `(V, D)`.
    dweight: Option<Vec<f32>>,
}

/// Memory that every chunk uses again.
#[derive(Default)]
struct Buffers {
    /// Rows of the hidden state, `(rows, D)`, and then their gradients.
    rows: Vec<f32>,
    /// `(rows, V)`, and then their gradients.
    logits: Vec<f32>,
}

/// The inputs.
struct Head<'a> {
    hidden: Rows<'a>,
    /// `(V, D)`.
    weight: Matrix<'a>,
}

impl Head<'_> {
    fn add_chunk(&self, indices: &[u32], targets: &[u32], buffers: &mut Buffers, sums: &mut Sums) {
        let Buffers { rows, logits } = buffers;
        let (n, d, v) = (indices.len(), self.hidden.width, self.weight.rows);
        rows.clear();
        for &index in indices {
            rows.extend_from_slice(self.hidden.row(index as usize));
        }
        logits.resize(n * v, 0.0);
        self.logits(Matrix::new(rows, n, d), logits);

        let differentiate = sums.dhidden.is_some() || sums.dweight.is_some();
        sums.loss += cross_entropy(logits, targets, v, differentiate);

        let dlogits = Matrix::new(logits, n, v);
        if let Some(dweight) = &mut sums.dweight {
            let dweight = MatrixMut::new(dweight, v, d);
            let rows = Matrix::new(rows, n, d);
            product(dweight, Then::Add, 1.0, dlogits.transposed(), rows);
        }
        if let Some(dhidden) = &mut sums.dhidden {
            self.dhidden(dlogits, rows);
            for (&index, row) in indices.iter().zip(rows.chunks_exact(d.max(1))) {
                let start = index as usize * d;
                dhidden[start..start + d].copy_from_slice(row);
            }
        }
    }

    /// `h W^T`.
    fn logits(&self, rows: Matrix<'_>, logits: &mut [f32]) {
        let logits = MatrixMut::new(logits, rows.rows, self.weight.rows);
        product(logits, Then::Write, 1.0, rows, self.weight.transposed());
    }

    /// `dlogits W`.
    fn dhidden(&self, dlogits: Matrix<'_>, rows: &mut [f32]) {
        let rows = MatrixMut::new(rows, dlogits.rows, self.weight.columns);
        product(rows, Then::Write, 1.0, dlogits, self.weight);
    }
}

/// The sum of the rows' losses; logits become `softmax(logits) - onehot(target)`.
fn cross_entropy(logits: &mut [f32], targets: &[u32], v: usize, differentiate: bool) -> f64 {
    let mut losses = vec![0.0; targets.len()];
    let elements = logits.len();
    let rows = logits.chunks_exact_mut(v.max(1)).zip(targets);
    let tasks = rows.zip(&mut losses).collect();
    for_each_task(tasks, elements, |_: &mut (), ((row, &target), loss)| {
        *loss = dispatch(Row {
            logits: row,
            target: target as usize,
            differentiate,
        });
    });
    losses.iter().sum()
}

/// One row of logits. Its loss is returned, and the logits become their gradient where one is
/// wanted.
struct Row<'a> {
    logits: &'a mut [f32],
    target: usize,
    differentiate: bool,
}

impl WithSimd for Row<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let max = math::max_f32s(simd, self.logits);
        let margin = f64::from(max) - f64::from(self.logits[self.target]);
        let max = simd.splat_f32s(max);
        update(
            simd,
            [&mut *self.logits],
            [],
            #[inline(always)]
            |[x], []| [math::exp_f32s(simd, simd.sub_f32s(x, max))],
        );
        let sum = math::sum_f32s(simd, self.logits);
        if self.differentiate {
            math::scale_f32s(simd, self.logits, 1.0 / sum);
            self.logits[self.target] -= 1.0;
        }
        margin + f64::from(sum).ln()
    }
}
