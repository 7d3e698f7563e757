//! Experts of each token, and their shares in the result (mixtures of experts, <https://arxiv.org/abs/2401.04088>).
//!
//! `logits` are `(N, E)`, float32 inside. Of each token the `K` largest are chosen, the first of equals first, and their
//! weights, `(N, K)` in the dtype of the logits, are a softmax `p` over all experts, or over the chosen ones alone, which
//! is the former divided by its sum. Which are chosen is no function with a gradient; backward, of weights `w` with
//! gradients `dw`: `dlogits = p (dw - sum(dw w))`, where `dw` is zero at experts that are not chosen.
//!
//! The host chooses: it has to know how many tokens each expert has.

#[cfg(any(test, feature = "testkit"))]
pub mod cases;
#[cfg(any(test, feature = "testkit"))]
pub mod check;

use crate::graph::{Function, Gradients, Kernel, Operation, Trace, Value};
use crate::ops::wide;
use crate::{Error, Result, download, upload};
use candle_core::{DType, Tensor};

/// Experts that the softmax of a router goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoftmaxOver {
    /// All experts: the weights of the chosen ones are less than one together.
    All,
    /// The chosen ones, whose weights are one together.
    Chosen,
}

/// Chosen experts of each of `N` tokens.
#[derive(Clone, Debug)]
pub struct Routing {
    /// `K` experts a token, the largest logit first, of one token after another.
    pub chosen: Vec<u32>,
    /// Their weights, `(N, K)`.
    pub weights: Tensor,
}

/// The `k` experts of each token by the router's logits, `(N, E)`.
///
/// # Errors
/// When the logits are no matrix, or have fewer than `k` columns.
pub fn routing(logits: &Tensor, k: usize, over: SoftmaxOver) -> Result<Routing> {
    let &[n, n_experts] = logits.dims() else {
        return Err(Error::shape("routing", "logits", "(N, E)", logits));
    };
    if k == 0 || k > n_experts {
        return Err(Error::Value {
            op: "routing",
            what: "k",
            expected: format!("from 1 to {n_experts}"),
            got: k.to_string(),
        });
    }
    let numbers = download::<f32>(&logits.detach().to_dtype(DType::F32)?)?;
    let rows = numbers.chunks(n_experts);
    let chosen: Vec<u32> = rows.flat_map(|row| largest(row, k)).collect();
    let op = Route {
        chosen: upload(&chosen, (n, k), logits.device())?,
        over,
    };
    let [weights] = Reference::run(op, [logits])?;
    Ok(Routing { chosen, weights })
}

/// Columns of the `k` largest numbers, the largest first.
fn largest(row: &[f32], k: usize) -> Vec<u32> {
    let mut columns: Vec<u32> = (0..row.len() as u32).collect();
    columns.sort_by(|a, b| row[*b as usize].total_cmp(&row[*a as usize]));
    columns.truncate(k);
    columns
}

struct Route {
    /// `(N, K)`.
    chosen: Tensor,
    over: SoftmaxOver,
}

impl Operation for Route {
    fn name(&self) -> &'static str {
        "routing"
    }
}

impl Route {
    /// Softmax over the experts, `(N, E)`; zero at those that it does not go over.
    fn probabilities(&self, logits: &Tensor) -> candle_core::Result<Tensor> {
        let logits = wide(logits)?.contiguous()?;
        let shifted = logits.broadcast_sub(&logits.max_keepdim(1)?)?.exp()?;
        let counted = match self.over {
            SoftmaxOver::All => shifted,
            SoftmaxOver::Chosen => {
                let chosen = shifted.gather(&self.chosen, 1)?;
                shifted
                    .zeros_like()?
                    .scatter_add(&self.chosen, &chosen, 1)?
            }
        };
        counted.broadcast_div(&counted.sum_keepdim(1)?)
    }
}

/// candle's operations, on every device.
struct Reference;

impl Function<Route, 1> for Reference {
    /// The probabilities.
    type Saved = Tensor;

    fn forward(op: &Route, [logits]: [&Tensor; 1]) -> Result<(Value, Tensor)> {
        let probabilities = op.probabilities(&logits.detach())?;
        let weights = probabilities.gather(&op.chosen, 1)?;
        Ok((
            Value::copied(&weights.to_dtype(logits.dtype())?)?,
            probabilities,
        ))
    }

    fn backward(op: &Route, p: &Tensor, trace: Trace<'_, 1>) -> Result<Gradients<1>> {
        let dw = wide(trace.dy)?.contiguous()?;
        let sum = (&dw * p.gather(&op.chosen, 1)?)?.sum_keepdim(1)?;
        let dw = p.zeros_like()?.scatter_add(&op.chosen, &dw, 1)?;
        let dlogits = (p * dw.broadcast_sub(&sum)?)?;
        Ok([Some(dlogits.to_dtype(trace.y.dtype())?)])
    }
}
