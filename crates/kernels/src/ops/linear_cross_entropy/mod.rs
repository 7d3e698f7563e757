//! The output head and its loss in one operation, without ever holding all logits:
//! `loss = sum over rows n with a target t of logsumexp(l_n) - l_nt` with the logits `l = h W^T`, or
//! `l = cap * tanh(h W^T / cap)` where they have a bound.
//!
//! `hidden` is `(N, D)`, `weight` is `(V, D)`, `targets` is `(N)` i64 with [`IGNORED_TARGET`] where
//! a row is not trained. The loss is a float32 scalar: a sum in nats, so that micro-batches of any
//! size add up; divide by the number of trained rows for the mean. [`linear_cross_entropy_rows`] gives the
//! loss of every row instead, `(N)` float32, for losses that are no sum over tokens.
//!
//! Rows without a target are dropped before the product. The gradients,
//! `dhidden = dl W` with `dl = softmax(l) - onehot(t)`, times `1 - (l / cap)^2` where there is a bound,
//! and that of the weight, `dl^T h`, are computed forward, chunk of logits by chunk, and scaled by the upstream
//! gradient in backward (as in Liger-Kernel's fused linear cross entropy). Those of inputs that are not tracked are
//! not computed, so that an evaluation costs one product. Where every row has a loss of its own, the gradient of a
//! weight that is trained waits for backward, which knows the factors of the rows. On a CPU a chunk is a part of the
//! vocabulary, of which each thread takes a share; elsewhere it is some of the rows.

#[cfg(any(test, feature = "testkit"))]
pub mod cases;
#[cfg(any(test, feature = "testkit"))]
pub mod check;
mod chunked;
mod cpu;
#[cfg(any(target_vendor = "apple", soft_metal))]
mod metal;
mod pass;
mod reference;

use super::softcap::check_cap;
use crate::graph::elementwise;
use crate::graph::path::{Devices, KernelFn, metal};
use crate::graph::{Gradients, Kernel, Operation, Trace};
use crate::{Error, Result, Weight};
use candle_core::{DType, Shape, Tensor};

/// The target of a row that has no loss; PyTorch's `ignore_index`.
pub const IGNORED_TARGET: i64 = -100;

/// Logits held at a time at most: 60 MiB in float32.
const CHUNK_ELEMENTS: usize = 15 << 20;

/// The sum of the negative log-likelihoods of `targets`, in nats; logits are bounded by `softcap`
/// where there is one. The host reads the targets: it waits for those that lie on a GPU.
///
/// # Errors
/// When shapes do not fit, a target is neither [`IGNORED_TARGET`] nor in `0..V`, or the bound is not
/// positive.
pub fn linear_cross_entropy(
    hidden: &Tensor,
    weight: &Weight,
    targets: &Tensor,
    softcap: Option<f64>,
) -> Result<Tensor> {
    let head = Head::new(hidden, weight, targets, softcap, CHUNK_ELEMENTS)?;
    loss_of(head, hidden, weight)
}

/// The negative log-likelihood of every row's target, `(N)` float32 in nats, zero where a row has none; logits
/// are bounded by `softcap` where there is one.
///
/// # Errors
/// As [`linear_cross_entropy`].
pub fn linear_cross_entropy_rows(
    hidden: &Tensor,
    weight: &Weight,
    targets: &Tensor,
    softcap: Option<f64>,
) -> Result<Tensor> {
    let head = Head::new(hidden, weight, targets, softcap, CHUNK_ELEMENTS)?;
    loss_of(head.by_row(), hidden, weight)
}

fn loss_of(head: Head, hidden: &Tensor, weight: &Weight) -> Result<Tensor> {
    match weight.tensor().filter(|weight| weight.track_op()) {
        Some(weight) => loss(head, [hidden, weight]),
        None => loss(head, [hidden]),
    }
}

/// Kernels; with one input the weight is frozen.
const fn devices<const N: usize>() -> Devices<KernelFn<Head, N>> {
    Devices {
        cpu: Some(cpu::Cpu::run),
        metal: metal!(metal::Metal::run),
        cuda: None,
    }
}

fn loss<const N: usize>(head: Head, inputs: [&Tensor; N]) -> Result<Tensor> {
    let kernel = devices().kernel(head.name(), inputs[0], head.weight.tensor());
    let run = kernel.unwrap_or(chunked::Chunked::run);
    run(head, inputs).map(|[loss]| loss)
}

/// The head and the targets: an operation of the hidden state and, where it is trained, the weight.
struct Head {
    /// `(V, D)`.
    weight: Weight,
    rows: TrainedRows,
    softcap: Option<f64>,
    /// Logits held at a time at most, but for those of one row.
    chunk_elements: usize,
    result: Losses,
}

/// Losses as they are given.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Losses {
    /// Their sum, a scalar.
    Sum,
    /// One for every row, `(N)`.
    Rows {
        /// `N`.
        n: usize,
    },
}

impl Losses {
    fn shape(self) -> Shape {
        match self {
            Self::Sum => ().into(),
            Self::Rows { n } => n.into(),
        }
    }
}

impl Operation for Head {
    fn name(&self) -> &'static str {
        "linear_cross_entropy"
    }
}

/// The gradients of the inputs for upstream gradients of one, computed forward; `None` where they are not
/// wanted, zero, or computed in backward.
struct Saved {
    /// Shape of the hidden state.
    dhidden: Option<Tensor>,
    /// Shape of the weight.
    dweight: Option<Tensor>,
}

impl Saved {
    /// Gradients in the order and the dtypes of the inputs, times those of the losses.
    fn scaled<const N: usize>(&self, head: &Head, trace: Trace<'_, N>) -> Result<Gradients<N>> {
        let Trace { inputs, dy, .. } = trace;
        let (factor, dweight) = match head.result {
            Losses::Sum => (dy.clone(), self.dweight.clone()),
            Losses::Rows { .. } => (dy.unsqueeze(1)?, None),
        };
        let scaled = |saved: Option<&Tensor>, input: &Tensor| -> Result<Option<Tensor>> {
            let Some(saved) = saved else { return Ok(None) };
            let product = elementwise::mul(saved, &factor.to_dtype(saved.dtype())?)?;
            Ok(Some(product.to_dtype(input.dtype())?))
        };
        let mut gradients = [const { None }; N];
        let saved = [&self.dhidden, &dweight];
        for ((gradient, input), saved) in gradients.iter_mut().zip(inputs).zip(saved) {
            *gradient = scaled(saved.as_ref(), input)?;
        }
        if let (Losses::Rows { .. }, Some(gradient)) = (head.result, gradients.get_mut(1)) {
            let dweight = chunked::dweight(head, &inputs[0], dy)?;
            *gradient = Some(dweight.to_dtype(inputs[1].dtype())?);
        }
        Ok(gradients)
    }
}

impl Head {
    fn new(
        hidden: &Tensor,
        weight: &Weight,
        targets: &Tensor,
        softcap: Option<f64>,
        chunk_elements: usize,
    ) -> Result<Self> {
        check_cap("linear_cross_entropy", softcap)?;
        let (n, d) = hidden.dims2()?;
        let (v, d_weight) = weight.dims()?;
        if d_weight != d {
            return Err(Error::Shape {
                op: "linear_cross_entropy",
                what: "weight",
                expected: format!("(V, {d})"),
                got: (v, d_weight).into(),
            });
        }
        if targets.dims() != [n] || targets.dtype() != DType::I64 {
            return Err(Error::shape(
                "linear_cross_entropy",
                "targets",
                format!("({n}) i64"),
                targets,
            ));
        }
        Ok(Self {
            weight: weight.detach(),
            rows: trained_rows(targets, v)?,
            softcap,
            chunk_elements,
            result: Losses::Sum,
        })
    }

    /// Head that gives the loss of every row.
    fn by_row(self) -> Self {
        let n = self.rows.n;
        Self {
            result: Losses::Rows { n },
            ..self
        }
    }

    /// Whether forward computes the gradient of the weight, the second of `n_inputs`.
    fn saves_dweight(&self, n_inputs: usize) -> bool {
        n_inputs > 1 && self.result == Losses::Sum
    }

    /// Result of the losses of the trained rows, `(rows)` float32.
    fn result_of(&self, losses: &Tensor) -> Result<Tensor> {
        match self.result {
            Losses::Sum => Ok(losses.sum_all()?),
            Losses::Rows { n } if n == self.rows.indices.len() => Ok(losses.clone()),
            Losses::Rows { n } => {
                let zeros = Tensor::zeros(n, losses.dtype(), losses.device())?;
                let indices = Tensor::new(&self.rows.indices[..], losses.device())?;
                Ok(zeros.index_add(&indices, losses, 0)?)
            }
        }
    }

    /// Rows of a chunk: as few chunks of whole rows as there must be, equally large.
    fn chunk_rows(&self) -> Result<usize> {
        let (v, _) = self.weight.dims()?;
        let most_rows = (self.chunk_elements / v.max(1)).max(1);
        let chunks = self.rows.indices.len().div_ceil(most_rows).max(1);
        Ok(self.rows.indices.len().div_ceil(chunks).max(1))
    }
}

/// The rows that have a loss, and their targets.
struct TrainedRows {
    /// Number of rows, those without a loss as well.
    n: usize,
    indices: Vec<u32>,
    targets: Vec<u32>,
}

fn trained_rows(targets: &Tensor, v: usize) -> Result<TrainedRows> {
    let mut rows = TrainedRows {
        n: targets.elem_count(),
        indices: vec![],
        targets: vec![],
    };
    for (row, target) in (0..).zip(targets.to_vec1::<i64>()?) {
        match u32::try_from(target) {
            Ok(target) if (target as usize) < v => {
                rows.indices.push(row);
                rows.targets.push(target);
            }
            _ if target == IGNORED_TARGET => {}
            _ => return Err(bad_target(row, target, v)),
        }
    }
    Ok(rows)
}

fn bad_target(row: u32, target: i64, v: usize) -> Error {
    Error::Value {
        op: "linear_cross_entropy",
        what: "target",
        expected: format!("{IGNORED_TARGET} or in 0..{v}"),
        got: format!("{target} in row {row}"),
    }
}
