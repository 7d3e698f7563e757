//! Tokens sorted by expert, and results of experts added up by token (<https://arxiv.org/abs/2006.16668>).
//!
//! Each of `N` tokens has `K` experts. [`dispatch`] gives every expert that has tokens their rows, and [`combine`] adds the
//! results of all experts, each times the token's weight for it:
//!
//! ```text
//! dispatch: x (N, D) -> (n, D) for each expert that has n tokens
//! combine:  (n, D) of each, weights (N, K) -> y (N, D), y[t] = sum over k of weights[t, k] * result[t, k]
//! ```
//!
//! Results have the dtype of the rows; sums are in float32. Since every token has as many experts, all of it is reading rows
//! in another order, backward too, where the two change roles; nothing is written to one place twice.

#[cfg(any(test, feature = "testkit"))]
pub mod cases;
#[cfg(any(test, feature = "testkit"))]
pub mod check;
mod combine;
mod dispatch;

pub use combine::combine;
pub use dispatch::dispatch;

use crate::graph::{Node, Value, attach, tape};
use crate::ops::wide;
use crate::{Error, Result, upload};
use candle_core::{DType, Device, Tensor};
use std::sync::Arc;

/// Experts of tokens, in both orders.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// Experts of a token.
    k: usize,
    /// Tokens, sorted by expert, `N K` numbers.
    tokens: Vec<u32>,
    /// Number of tokens of each expert.
    counts: Vec<usize>,
    /// Pairs of a token and an expert, counted by token, sorted by expert: u32 `(N K)`.
    by_expert: Tensor,
    /// Place of each pair among those sorted by expert: u32 `(N K)`.
    by_token: Tensor,
}

impl Assignment {
    /// Assignment of tokens to `k` experts each, which `chosen` names token by token.
    ///
    /// # Errors
    /// When these are no multiple of `k`, or one is not below `n_experts`.
    pub fn new(chosen: &[u32], k: usize, n_experts: usize, device: &Device) -> Result<Self> {
        if k == 0 || !chosen.len().is_multiple_of(k) {
            let expected = format!("{k} for each token");
            return Err(wrong("experts", expected, chosen.len()));
        }
        if let Some(expert) = chosen.iter().find(|expert| **expert as usize >= n_experts) {
            return Err(wrong("an expert", format!("below {n_experts}"), expert));
        }
        let mut by_expert: Vec<u32> = (0..chosen.len() as u32).collect();
        // Stable: tokens of an expert stay in their order.
        by_expert.sort_by_key(|pair| chosen[*pair as usize]);
        let mut by_token = vec![0u32; chosen.len()];
        for (place, pair) in by_expert.iter().enumerate() {
            by_token[*pair as usize] = place as u32;
        }
        let mut counts = vec![0; n_experts];
        chosen.iter().for_each(|e| counts[*e as usize] += 1);
        Ok(Self {
            k,
            tokens: by_expert.iter().map(|pair| pair / k as u32).collect(),
            counts,
            by_expert: upload(&by_expert, chosen.len(), device)?,
            by_token: upload(&by_token, chosen.len(), device)?,
        })
    }

    /// The experts that have tokens, with these, in the order of experts.
    pub fn used(&self) -> impl Iterator<Item = (usize, &[u32])> {
        let counts = self.counts.iter().enumerate();
        let ends = counts.scan(0, |end, (expert, count)| {
            *end += count;
            Some((expert, &self.tokens[*end - count..*end]))
        });
        ends.filter(|(_, tokens)| !tokens.is_empty())
    }

    /// Numbers of tokens of these experts.
    fn lengths(&self) -> Vec<usize> {
        self.used().map(|(_, tokens)| tokens.len()).collect()
    }

    /// Number of tokens.
    fn n_tokens(&self) -> usize {
        self.tokens.len() / self.k
    }

    /// Rows of pairs, `(N K, D)` by expert, to `(N, K, D)` in float32.
    fn to_tokens(&self, rows: &Tensor) -> candle_core::Result<Tensor> {
        let rows = rows.index_select(&self.by_token, 0)?;
        wide(&rows)?.reshape((self.n_tokens(), self.k, ()))
    }

    /// Rows of pairs, `(N, K, D)`, to those of each expert, `(n, D)` in `dtype`.
    fn to_experts(&self, rows: &Tensor, dtype: DType) -> candle_core::Result<Vec<Tensor>> {
        let rows = rows.flatten_to(1)?.to_dtype(dtype)?;
        let rows = rows.index_select(&self.by_expert, 0)?;
        let mut start = 0;
        let parts = self.lengths().into_iter().map(|n| {
            start += n;
            rows.narrow(0, start - n, n)
        });
        parts.collect()
    }
}

fn wrong(what: &'static str, expected: String, got: impl ToString) -> Error {
    let got = got.to_string();
    Error::Value {
        op: "experts",
        what,
        expected,
        got,
    }
}

/// Results of a node: in the graph, and on the tape, where an input is tracked.
fn run(node: impl Node + 'static, results: Vec<Tensor>) -> Result<Vec<Tensor>> {
    if !node.inputs().iter().any(Tensor::track_op) {
        return Ok(results);
    }
    let values = results
        .iter()
        .map(|y| Value::copied(&y.force_contiguous()?));
    let values = values.collect::<candle_core::Result<_>>()?;
    let node: Arc<dyn Node> = Arc::new(node);
    let outputs = attach(&node, values)?;
    tape::note(&outputs, || node);
    Ok(outputs)
}
