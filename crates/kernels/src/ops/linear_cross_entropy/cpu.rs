//! Shares of the vocabulary side by side, each in a [`pass`](super::pass) of its own: threads that
//! pass over one share together would read what the other has just written.

use super::pass::{Pass, Seen, Share, multiply, parts};
use super::{Head, Losses, Saved};
use crate::Result;
use crate::graph::{Function, Gradients, Trace, Value};
use crate::host::online::Statistics;
use crate::host::{Numbers, tensor};
use crate::ops::softcap::registers::{bound_with_slopes, slope};
use candle_core::{CpuStorage, Device, Shape, Tensor};
use metal_candle_cpu::gemm::{Matrix, MatrixMut, Then, product};
use metal_candle_cpu::math;
use metal_candle_cpu::simd::dispatch;
use metal_candle_cpu::threads::for_each_task;
use metal_candle_cpu::vector::update;
use pulp::{Simd, WithSimd};

/// Rows that share one pass over the weight: copies of theirs are held.
const MOST_ROWS: usize = 2048;

/// Shares of the vocabulary at most, on any machine: the order of sums depends on them.
const SHARES: usize = 8;

/// Fewest logits of a row in a share, of which there is one at least.
const SHARE_COLUMNS: usize = 512;

/// Numbers in the gradients of the hidden state that all shares hold: 64 MiB.
const MOST_SUMS: usize = 16 << 20;

/// Logits of a row that are held at a time: with those of some hundred rows and their part of the
/// weight, what a processor's last cache holds for each thread.
const MOST_COLUMNS: usize = 1024;

pub(super) struct Cpu;

impl<const N: usize> Function<Head, N> for Cpu {
    type Saved = Saved;

    fn forward(head: &Head, inputs: [&Tensor; N]) -> Result<(Value, Saved)> {
        compute(head, inputs[0], head.saves_dweight(N))
    }

    fn backward(head: &Head, saved: &Saved, trace: Trace<'_, N>) -> Result<Gradients<N>> {
        saved.scaled(head, trace)
    }
}

fn compute(head: &Head, hidden: &Tensor, wants_dweight: bool) -> Result<(Value, Saved)> {
    let weight = head.weight.on_host()?;
    let (v, d) = head.weight.dims()?;
    let inputs = Inputs {
        hidden: &hidden.detach().reshape(((), d))?,
        weight: weight.matrix()?,
        softcap: head.softcap.map(|cap| cap as f32),
        chunk_elements: head.chunk_elements,
    };
    let wants_dhidden = hidden.track_op();
    let mut sums = Sums {
        loss: 0.0,
        losses: match head.result {
            Losses::Sum => None,
            Losses::Rows { n } => Some(vec![0.0; n]),
        },
        dhidden: wants_dhidden.then(|| vec![0.0; hidden.elem_count()]),
        dweight: wants_dweight.then(|| vec![0.0; v * d]),
    };
    let most = inputs.most_rows(wants_dhidden);
    let most = head.chunk_elements.min(most).max(1);
    let targets = head.rows.targets.chunks(most);
    for (indices, targets) in head.rows.indices.chunks(most).zip(targets) {
        inputs.add_rows(indices, targets, &mut sums)?;
    }
    let loss = match sums.losses {
        None => Value::cpu(CpuStorage::F32(vec![sums.loss as f32]), ()),
        Some(losses) => {
            let n = losses.len();
            Value::cpu(CpuStorage::F32(losses), n)
        }
    };
    let saved = Saved {
        dhidden: in_shape(sums.dhidden, hidden.shape()),
        dweight: in_shape(sums.dweight, &(v, d).into()),
    };
    Ok((loss, saved))
}

fn in_shape(values: Option<Vec<f32>>, shape: &Shape) -> Option<Tensor> {
    values.map(|values| tensor(CpuStorage::F32(values), shape))
}

/// Results, over all rows so far.
struct Sums {
    /// Added up in f64: a sum over as many tokens as the caller likes.
    loss: f64,
    /// `(N)`, where every row's is wanted.
    losses: Option<Vec<f32>>,
    /// `(N, D)`, zero where no row is trained.
    dhidden: Option<Vec<f32>>,
    /// `(V, D)`.
    dweight: Option<Vec<f32>>,
}

/// The inputs.
struct Inputs<'a> {
    /// `(N, D)`.
    hidden: &'a Tensor,
    /// `(V, D)`.
    weight: Matrix<'a>,
    softcap: Option<f32>,
    chunk_elements: usize,
}

impl Inputs<'_> {
    fn add_rows(&self, indices: &[u32], targets: &[u32], sums: &mut Sums) -> Result<()> {
        let hidden = (self.hidden).index_select(&Tensor::new(indices, &Device::Cpu)?, 0)?;
        let (storage, layout) = hidden.storage_and_layout();
        let hidden = Numbers::of(&storage, layout)?;
        let mut shares = shares(self.weight.rows);
        let pass = Pass {
            hidden: hidden.matrix(self.weight.columns),
            weight: self.weight,
            targets,
            softcap: self.softcap,
            columns: (self.chunk_elements / indices.len() / shares.len()).clamp(1, MOST_COLUMNS),
            wants_dhidden: sums.dhidden.is_some(),
        };
        let work = indices.len() * self.weight.rows;
        for_each_task(shares.iter_mut().collect(), work, |logits, share| {
            pass.over(share, logits);
        });
        let row = |row: usize| Seen::joined(shares.iter().map(move |share| share.seen[row]));
        let seen: Vec<Seen> = (0..indices.len()).map(row).collect();
        sums.loss += seen.iter().map(loss).sum::<f64>();
        if let Some(losses) = &mut sums.losses {
            for (&index, seen) in indices.iter().zip(&seen) {
                losses[index as usize] = loss(seen) as f32;
            }
        }
        if let Some(dhidden) = &mut sums.dhidden {
            self.scatter(&shares, &seen, (indices, targets), dhidden);
        }
        if let Some(dweight) = &mut sums.dweight {
            add_dweight(&pass, &seen, dweight);
        }
        Ok(())
    }

    /// Rows that share a pass.
    fn most_rows(&self, wants_dhidden: bool) -> usize {
        match wants_dhidden {
            true => MOST_ROWS
                .min(MOST_SUMS / (share_count(self.weight.rows) * self.weight.columns).max(1)),
            false => MOST_ROWS,
        }
    }

    /// `dhidden = sums / sum + (p_target - 1) W_target`, the latter times the derivative of a bound, at the places of the rows. Where the target is
    /// almost certain both are small, and no digit of theirs was added to a large number.
    fn scatter(
        &self,
        shares: &[Share],
        seen: &[Seen],
        (indices, targets): (&[u32], &[u32]),
        dhidden: &mut [f32],
    ) {
        let d = self.weight.columns;
        if d == 0 {
            return;
        }
        for (row, (&index, &target)) in indices.iter().zip(targets).enumerate() {
            let dhidden = &mut dhidden[index as usize * d..][..d];
            let Statistics { max, sum } = seen[row].statistics;
            for share in shares {
                let factor = share.seen[row].statistics.factor(max) / sum;
                add_scaled(dhidden, factor, &share.sums[row * d..][..d]);
            }
            let target_logit = seen[row].target_logit;
            let dlogit = math::exp(target_logit - max) / sum - 1.0;
            let factor = dlogit * self.softcap.map_or(1.0, |cap| slope(target_logit, cap));
            add_scaled(dhidden, factor, &self.weight.row(target as usize));
        }
    }
}

fn add_scaled(to: &mut [f32], factor: f32, values: &[f32]) {
    for (to, value) in to.iter_mut().zip(values) {
        *to += factor * value;
    }
}

fn share_count(v: usize) -> usize {
    (v / SHARE_COLUMNS).clamp(1, SHARES)
}

fn shares(v: usize) -> Vec<Share> {
    let count = share_count(v);
    let share = |i| Share::new(v * i / count..v * (i + 1) / count);
    (0..count).map(share).collect()
}

fn loss(seen: &Seen) -> f64 {
    let margin = f64::from(seen.statistics.max) - f64::from(seen.target_logit);
    margin + f64::from(seen.statistics.sum).ln()
}

/// `dl^T h` with `dl` of the logits before they are bounded. Their softmax is known after the pass only: the
/// logits are computed a second time.
fn add_dweight(pass: &Pass<'_>, seen: &[Seen], dweight: &mut [f32]) {
    let (rows, d) = (pass.hidden.rows, pass.hidden.columns);
    let mut logits = vec![];
    for part in parts(0..pass.weight.rows, pass.columns) {
        pass.logits(&part, &mut logits);
        differentiate(&mut logits, part.start, pass, seen);
        let dlogits = Matrix::new(&logits, rows, part.len()).transposed();
        let dweight = &mut dweight[part.start * d..part.end * d];
        let dweight = MatrixMut::new(dweight, part.len(), d);
        product(dweight, Then::Add, 1.0, dlogits, pass.hidden);
    }
}

/// Logits of some columns become their gradients: `softmax - onehot`, times the derivative of a bound.
fn differentiate(logits: &mut [f32], first: usize, pass: &Pass<'_>, seen: &[Seen]) {
    let elements = logits.len();
    let logits = logits.chunks_exact_mut(elements / seen.len().max(1));
    let rows = logits.zip(pass.targets).zip(seen);
    let rows = rows.map(|((logits, &target), seen)| Row {
        logits,
        target: (target as usize).checked_sub(first),
        statistics: seen.statistics,
        softcap: pass.softcap,
    });
    for_each_task(rows.collect(), elements, |slopes, row| {
        dispatch(Vectorized { row, slopes });
    });
}

/// Some logits of one row.
struct Row<'a> {
    logits: &'a mut [f32],
    /// The target's place, maybe beyond these logits.
    target: Option<usize>,
    statistics: Statistics,
    softcap: Option<f32>,
}

struct Vectorized<'a, 'b> {
    row: Row<'a>,
    /// Memory for the derivatives of a bound.
    slopes: &'b mut Vec<f32>,
}

impl WithSimd for Vectorized<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { mut row, slopes } = self;
        if let Some(cap) = row.softcap {
            slopes.resize(row.logits.len(), 0.0);
            bound_with_slopes(simd, row.logits, slopes, cap);
        }
        row.differentiate(simd);
        if row.softcap.is_some() {
            multiply(simd, row.logits, slopes);
        }
    }
}

impl Row<'_> {
    /// `softmax - onehot`.
    #[inline(always)]
    fn differentiate<S: Simd>(&mut self, simd: S) {
        let Statistics { max, sum } = self.statistics;
        let (max, factor) = (simd.splat_f32s(max), simd.splat_f32s(1.0 / sum));
        update(
            simd,
            [self.logits],
            [],
            #[inline(always)]
            |[x], []| [simd.mul_f32s(math::exp_f32s(simd, simd.sub_f32s(x, max)), factor)],
        );
        let target = self.target;
        if let Some(logit) = target.and_then(|target| self.logits.get_mut(target)) {
            *logit -= 1.0;
        }
    }
}
