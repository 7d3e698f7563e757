//! One pass over the vocabulary, a part at a time, as attention passes over its keys: what was summed
//! so far is scaled when a larger logit appears (Milakov and Gimelshein 2018,
//! <https://arxiv.org/abs/1805.02867>). However many rows share a pass, each product reads the weight
//! once.

use super::TrainedRows;
use super::chunked::SavedLoss;
use crate::Result;
use crate::gemm::{Matrix, MatrixMut, Then, product};
use crate::host::{Rows, on_host};
use crate::math;
use crate::online::Statistics;
use crate::simd::dispatch;
use crate::threads::for_each_task;
use crate::vector::update;
use candle_core::{Device, Tensor};
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Rows that share one pass over the weight: copies of theirs are held, and of their gradients.
const MOST_ROWS: usize = 2048;

/// Logits of a row that are held at a time: with those of some hundred rows and their part of the
/// weight, what a processor's last cache holds.
const MOST_COLUMNS: usize = 2048;

/// The loss and the gradients of tracked inputs, with at most `chunk_elements` logits at a time, or
/// one.
pub(super) fn compute(
    hidden: &Tensor,
    weight: &Tensor,
    rows: &TrainedRows,
    chunk_elements: usize,
) -> Result<SavedLoss> {
    let (hidden_storage, hidden_layout) = hidden.storage_and_layout();
    let (weight_storage, weight_layout) = weight.storage_and_layout();
    let head = Head {
        hidden: Rows::of(&hidden_storage, hidden_layout)?,
        weight: Matrix::of(on_host(&weight_storage)?, weight_layout)?,
        chunk_elements,
    };
    let mut sums = Sums {
        loss: 0.0,
        dhidden: hidden.track_op().then(|| vec![0.0; hidden.elem_count()]),
        dweight: weight.track_op().then(|| vec![0.0; weight.elem_count()]),
    };
    let most = chunk_elements.clamp(1, MOST_ROWS);
    let targets = rows.targets.chunks(most);
    for (indices, targets) in rows.indices.chunks(most).zip(targets) {
        head.add_rows(indices, targets, &mut sums);
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

/// Results, over all rows so far.
struct Sums {
    /// Added up in f64: a sum over as many tokens as the caller likes.
    loss: f64,
    /// `(N, D)`, zero where no row is trained.
    dhidden: Option<Vec<f32>>,
    /// `(V, D)`.
    dweight: Option<Vec<f32>>,
}

/// The inputs.
struct Head<'a> {
    hidden: Rows<'a>,
    /// `(V, D)`.
    weight: Matrix<'a>,
    chunk_elements: usize,
}

/// A row with a target, and what is known of its logits.
#[derive(Clone, Default)]
struct Row {
    target: usize,
    target_logit: f32,
    seen: Statistics,
}

impl Row {
    fn loss(&self) -> f64 {
        let margin = f64::from(self.seen.max) - f64::from(self.target_logit);
        margin + f64::from(self.seen.sum).ln()
    }
}

impl Head<'_> {
    fn add_rows(&self, indices: &[u32], targets: &[u32], sums: &mut Sums) {
        let hidden: Vec<f32> = indices
            .iter()
            .flat_map(|&index| self.hidden.row(index as usize))
            .copied()
            .collect();
        let hidden = Matrix::new(&hidden, indices.len(), self.hidden.width);
        let row = |&target: &u32| Row {
            target: target as usize,
            ..Row::default()
        };
        let mut rows: Vec<Row> = targets.iter().map(row).collect();
        let dhidden = self.pass(hidden, &mut rows, sums.dhidden.is_some());
        sums.loss += rows.iter().map(Row::loss).sum::<f64>();
        if let Some(sums) = &mut sums.dhidden {
            self.scatter(&rows, indices, &dhidden, sums);
        }
        if let Some(dweight) = &mut sums.dweight {
            self.add_dweight(hidden, &rows, dweight);
        }
    }

    /// Parts of the vocabulary.
    fn parts(&self, rows: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let v = self.weight.rows;
        let columns = (self.chunk_elements / rows.max(1)).clamp(1, MOST_COLUMNS);
        let starts = (0..v).step_by(columns);
        starts.map(move |start| start..v.min(start + columns))
    }

    /// `h W^T` of a part of the vocabulary.
    fn logits(&self, hidden: Matrix<'_>, part: &Range<usize>, logits: &mut Vec<f32>) {
        logits.resize(hidden.rows * part.len(), 0.0);
        let weight = self.weight.part(part.clone());
        let logits = MatrixMut::new(logits, hidden.rows, part.len());
        product(logits, Then::Write, 1.0, hidden, weight.transposed());
    }

    /// Sees all logits of `rows` and returns `sum exp(logit - max) W_v` of each over all `v` but the
    /// target, where it is wanted.
    fn pass(&self, hidden: Matrix<'_>, rows: &mut [Row], differentiate: bool) -> Vec<f32> {
        let d = if differentiate { hidden.columns } else { 0 };
        let mut sums = vec![0.0; rows.len() * d];
        let mut logits = vec![];
        for part in self.parts(rows.len()) {
            self.logits(hidden, &part, &mut logits);
            see(&mut logits, part.start, rows, &mut sums);
            if differentiate {
                let sums = MatrixMut::new(&mut sums, rows.len(), d);
                let exponentials = Matrix::new(&logits, rows.len(), part.len());
                product(sums, Then::Add, 1.0, exponentials, self.weight.part(part));
            }
        }
        sums
    }

    /// `dhidden = sums / sum + (p_target - 1) W_target`, at the places of the rows. Where the target is
    /// almost certain both are small, and no digit of theirs was added to a large number.
    fn scatter(&self, rows: &[Row], indices: &[u32], sums: &[f32], dhidden: &mut [f32]) {
        let d = self.hidden.width;
        for ((row, &index), sums) in rows.iter().zip(indices).zip(sums.chunks_exact(d.max(1))) {
            let start = index as usize * d;
            let target = self.weight.row(row.target);
            let Statistics { max, sum } = row.seen;
            let factor = math::exp(row.target_logit - max) / sum - 1.0;
            for ((to, other), target) in dhidden[start..start + d].iter_mut().zip(sums).zip(target)
            {
                *to = other / sum + factor * target;
            }
        }
    }

    /// `(softmax(h W^T) - onehot)^T h`, whose softmax is known after the pass only: the logits are
    /// computed a second time.
    fn add_dweight(&self, hidden: Matrix<'_>, rows: &[Row], dweight: &mut [f32]) {
        let d = hidden.columns;
        let mut logits = vec![];
        for part in self.parts(rows.len()) {
            self.logits(hidden, &part, &mut logits);
            differentiate(&mut logits, part.start, rows);
            let dlogits = Matrix::new(&logits, rows.len(), part.len()).transposed();
            let dweight = &mut dweight[part.start * d..part.end * d];
            let dweight = MatrixMut::new(dweight, part.len(), d);
            product(dweight, Then::Add, 1.0, dlogits, hidden);
        }
    }
}

/// Adds the logits of some columns, the first of them `first`, to what is known of the rows; they
/// become `exp(logit - max)`, a target's zero, and `sums` are scaled to the maximum of now.
fn see(logits: &mut [f32], first: usize, rows: &mut [Row], sums: &mut [f32]) {
    let (elements, count) = (logits.len(), rows.len().max(1));
    let mut sums = sums.chunks_exact_mut((sums.len() / count).max(1));
    let rows = logits.chunks_exact_mut(elements / count).zip(rows);
    let seen = rows.map(|(logits, row)| Seen {
        logits,
        first,
        row,
        sums: sums.next().unwrap_or_default(),
    });
    for_each_task(seen.collect(), elements, |_: &mut (), seen| dispatch(seen));
}

/// Some logits of one row.
struct Seen<'a> {
    logits: &'a mut [f32],
    first: usize,
    row: &'a mut Row,
    sums: &'a mut [f32],
}

impl WithSimd for Seen<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let target = self.row.target.checked_sub(self.first);
        let target = target.filter(|&target| target < self.logits.len());
        if let Some(target) = target {
            self.row.target_logit = self.logits[target];
        }
        let factor = self.row.seen.add(simd, self.logits);
        if let Some(target) = target {
            self.logits[target] = 0.0;
        }
        if factor != 1.0 {
            math::scale_f32s(simd, self.sums, factor);
        }
    }
}

/// Logits of some columns become their gradients, `softmax - onehot`.
fn differentiate(logits: &mut [f32], first: usize, rows: &[Row]) {
    let elements = logits.len();
    let logits = logits.chunks_exact_mut(elements / rows.len().max(1));
    let tasks = logits.zip(rows).collect();
    for_each_task(tasks, elements, |_: &mut (), (logits, row)| {
        dispatch(Softmax { logits, row });
        let target = row.target.checked_sub(first);
        if let Some(logit) = target.and_then(|target| logits.get_mut(target)) {
            *logit -= 1.0;
        }
    });
}

struct Softmax<'a> {
    logits: &'a mut [f32],
    row: &'a Row,
}

impl WithSimd for Softmax<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Statistics { max, sum } = self.row.seen;
        let (max, factor) = (simd.splat_f32s(max), simd.splat_f32s(1.0 / sum));
        update(
            simd,
            [self.logits],
            [],
            #[inline(always)]
            |[x], []| [simd.mul_f32s(math::exp_f32s(simd, simd.sub_f32s(x, max)), factor)],
        );
    }
}
