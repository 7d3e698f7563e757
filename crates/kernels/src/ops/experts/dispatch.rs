use super::{Assignment, run};
use crate::graph::Node;
use crate::{Error, Result};
use candle_core::Tensor;
use std::slice;

/// Rows of each expert that has tokens, `(n, D)`, from those of all tokens, `(N, D)`, in the order of [`Assignment::used`].
///
/// # Errors
/// When `x` has not a row for each token.
pub fn dispatch(x: &Tensor, assignment: &Assignment) -> Result<Vec<Tensor>> {
    let n = assignment.n_tokens();
    match x.dims() {
        &[rows, _] if rows == n => {}
        _ => return Err(Error::shape("dispatch", "x", format!("({n}, D)"), x)),
    }
    let (x, assignment) = (x.clone(), assignment.clone());
    let pairs = x.detach().unsqueeze(1)?;
    let (_, _, width) = pairs.dims3()?;
    let pairs = pairs.broadcast_as((n, assignment.k, width))?;
    let rows = assignment.to_experts(&pairs.contiguous()?, x.dtype())?;
    run(Dispatch { x, assignment }, rows)
}

struct Dispatch {
    x: Tensor,
    assignment: Assignment,
}

impl Node for Dispatch {
    fn name(&self) -> &'static str {
        "dispatch"
    }

    fn inputs(&self) -> &[Tensor] {
        slice::from_ref(&self.x)
    }

    fn backward(
        &self,
        outputs: &[Tensor],
        upstream: &[Option<Tensor>],
    ) -> Result<Vec<Option<Tensor>>> {
        let rows = outputs.iter().zip(upstream).map(|(y, dy)| match dy {
            Some(dy) => Ok(dy.clone()),
            None => y.zeros_like(),
        });
        let rows = Tensor::cat(&rows.collect::<candle_core::Result<Vec<_>>>()?, 0)?;
        let dx = self.assignment.to_tokens(&rows)?.sum(1)?;
        Ok(vec![Some(dx.to_dtype(self.x.dtype())?)])
    }
}
