//! The output head and its loss in one operation, without ever holding all logits:
//! `loss = sum over rows n with a target t of logsumexp(l_n) - l_nt` with the logits `l = h W^T`, or
//! `l = cap * tanh(h W^T / cap)` where they have a bound.
//!
//! `hidden` is `(N, D)`, `weight` is `(V, D)`, `targets` is `(N)` i64 with [`IGNORED_TARGET`] where
//! a row is not trained. The loss is a float32 scalar: a sum in nats, so that micro-batches of any
//! size add up; divide by the number of trained rows for the mean.
//!
//! Rows without a target are dropped before the product. The gradients,
//! `dhidden = dl W` with `dl = softmax(l) - onehot(t)`, times `1 - (l / cap)^2` where there is a bound,
//! and that of the weight, are computed forward, chunk of
//! logits by chunk, and scaled by the upstream gradient in backward (as in Liger-Kernel's fused
//! linear cross entropy). Gradients of inputs that are not tracked are not computed, so that an
//! evaluation costs one product. On a CPU a chunk is a part of the vocabulary, of which each
//! thread takes a share; elsewhere it is some of the rows.

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
use crate::path::{Path, by_device};
use crate::tape::Record;
use crate::{Error, Result, Weight};
use candle_core::{DType, Tensor};

/// The target of a row that has no loss; PyTorch's `ignore_index`.
pub const IGNORED_TARGET: i64 = -100;

/// Logits held at a time at most: 60 MiB in float32.
const CHUNK_ELEMENTS: usize = 15 << 20;

/// The sum of the negative log-likelihoods of `targets`, in nats; logits are bounded by `softcap`
/// where there is one.
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
    let path = weight.path("linear_cross_entropy", &[hidden]);
    in_chunks(hidden, weight, targets, softcap, CHUNK_ELEMENTS, path)
}

fn in_chunks(
    hidden: &Tensor,
    weight: &Weight,
    targets: &Tensor,
    softcap: Option<f64>,
    chunk_elements: usize,
    path: Path,
) -> Result<Tensor> {
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
    let rows = trained_rows(targets, v)?;
    // As few chunks of whole rows as there must be, equally large.
    let most_rows = (chunk_elements / v.max(1)).max(1);
    let chunks = rows.indices.len().div_ceil(most_rows).max(1);
    let chunk_rows = rows.indices.len().div_ceil(chunks).max(1);
    let saved = match path {
        Path::Kernel => by_device!(
            hidden,
            cpu: cpu::compute(hidden, weight, &rows, softcap, chunk_elements)?,
            metal: metal::compute(hidden, &weight.dense()?, &rows, softcap, chunk_rows)?
        ),
        Path::Reference => chunked::compute(hidden, &weight.dense()?, &rows, softcap, chunk_rows)?,
    };
    // A packed weight is no tensor, and has no gradient: another one without stands in its place.
    let weight = weight.tensor().unwrap_or(&saved.loss).clone();
    Ok(hidden.record2(&weight, saved)?)
}

/// The rows that have a loss, and their targets.
struct TrainedRows {
    indices: Vec<u32>,
    targets: Vec<u32>,
}

fn trained_rows(targets: &Tensor, v: usize) -> Result<TrainedRows> {
    let mut rows = TrainedRows {
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
