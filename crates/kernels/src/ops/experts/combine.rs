use super::{Assignment, run};
use crate::graph::Node;
use crate::ops::wide;
use crate::{Error, Result};
use candle_core::{Result as CandleResult, Tensor};

/// Results of experts, `(n, D)` each in the order of [`Assignment::used`], added up by token with their weights, `(N, K)`:
/// `(N, D)`.
///
/// # Errors
/// When an expert's result is not there or has not a row for each of its tokens, or the weights are not `(N, K)`.
pub fn combine(results: &[Tensor], weights: &Tensor, assignment: &Assignment) -> Result<Tensor> {
    check(results, weights, assignment)?;
    let node = Combine {
        inputs: results.iter().chain([weights]).cloned().collect(),
        assignment: assignment.clone(),
    };
    let (rows, weights) = node.by_token()?;
    let y = rows.broadcast_mul(&weights)?.sum(1)?;
    let y = match results.first() {
        Some(result) => y.to_dtype(result.dtype())?,
        None => y,
    };
    let mut outputs = run(node, vec![y])?;
    let lost = || candle_core::Error::msg("a node without an output").bt();
    outputs.pop().ok_or_else(|| Error::Candle(lost()))
}

fn check(results: &[Tensor], weights: &Tensor, assignment: &Assignment) -> Result<()> {
    let (n, k) = (assignment.n_tokens(), assignment.k);
    if weights.dims() != [n, k] {
        let expected = format!("({n}, {k})");
        return Err(Error::shape("combine", "weights", expected, weights));
    }
    let lengths = assignment.lengths();
    if results.len() != lengths.len() {
        let expected = format!("{}, one for each expert that has tokens", lengths.len());
        return Err(super::wrong("results", expected, results.len()));
    }
    for (result, n) in results.iter().zip(lengths) {
        match result.dims() {
            &[rows, _] if rows == n => {}
            _ => {
                return Err(Error::shape(
                    "combine",
                    "result",
                    format!("({n}, D)"),
                    result,
                ));
            }
        }
    }
    Ok(())
}

struct Combine {
    /// The results, and the weights.
    inputs: Vec<Tensor>,
    assignment: Assignment,
}

impl Combine {
    /// Results, `(N, K, D)`, and weights, `(N, K, 1)`, in float32.
    fn by_token(&self) -> CandleResult<(Tensor, Tensor)> {
        let inputs: Vec<Tensor> = self.inputs.iter().map(Tensor::detach).collect();
        let (weights, results) = match inputs.split_last() {
            Some((weights, results)) if !results.is_empty() => (weights, results),
            _ => candle_core::bail!("combine: no expert has a token"),
        };
        let rows = self.assignment.to_tokens(&Tensor::cat(results, 0)?)?;
        Ok((rows, wide(weights)?.unsqueeze(2)?))
    }
}

impl Node for Combine {
    fn name(&self) -> &'static str {
        "combine"
    }

    fn inputs(&self) -> &[Tensor] {
        &self.inputs
    }

    fn backward(&self, _: &[Tensor], upstream: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        let Some(Some(dy)) = upstream.first() else {
            return Ok(vec![None; self.inputs.len()]);
        };
        let (rows, weights) = self.by_token()?;
        let dy = wide(dy)?.unsqueeze(1)?;
        let dtypes = self.inputs.iter().map(Tensor::dtype);
        let dtypes: Vec<_> = dtypes.collect();
        let drows = dy.broadcast_mul(&weights)?;
        let drows = self.assignment.to_experts(&drows, dtypes[0])?;
        let dweights = rows.broadcast_mul(&dy)?.sum(2)?;
        let dweights = dweights.to_dtype(dtypes[dtypes.len() - 1])?;
        let all = drows.into_iter().chain([dweights]);
        Ok(all.map(Some).collect())
    }
}
