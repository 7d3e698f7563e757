//! How an operation comes onto the tape.

use super::{CURRENT, Node, Operation};
use crate::{Result, elementwise};
use candle_core::shape::ShapeWithOneHole;
use candle_core::{CustomOp1, CustomOp2, CustomOp3, Result as CandleResult, Tensor};
use std::sync::Arc;

/// candle's `apply_op`, with a note on the tape.
pub(crate) trait Record {
    fn record1(&self, op: impl CustomOp1 + Send + Sync + 'static) -> CandleResult<Tensor>;

    fn record2(
        &self,
        second: &Tensor,
        op: impl CustomOp2 + Send + Sync + 'static,
    ) -> CandleResult<Tensor>;

    fn record3(
        &self,
        second: &Tensor,
        third: &Tensor,
        op: impl CustomOp3 + Send + Sync + 'static,
    ) -> CandleResult<Tensor>;
}

impl Record for Tensor {
    fn record1(&self, op: impl CustomOp1 + Send + Sync + 'static) -> CandleResult<Tensor> {
        let op: Arc<Box<dyn CustomOp1 + Send + Sync>> = Arc::new(Box::new(op));
        let output = self.apply_op1_arc(op.clone())?;
        Ok(noted(&[self], output, || Operation::One(op)))
    }

    fn record2(
        &self,
        second: &Tensor,
        op: impl CustomOp2 + Send + Sync + 'static,
    ) -> CandleResult<Tensor> {
        let op: Arc<Box<dyn CustomOp2 + Send + Sync>> = Arc::new(Box::new(op));
        let output = self.apply_op2_arc(second, op.clone())?;
        Ok(noted(&[self, second], output, || Operation::Two(op)))
    }

    fn record3(
        &self,
        second: &Tensor,
        third: &Tensor,
        op: impl CustomOp3 + Send + Sync + 'static,
    ) -> CandleResult<Tensor> {
        let op: Arc<Box<dyn CustomOp3 + Send + Sync>> = Arc::new(Box::new(op));
        let output = self.apply_op3_arc(second, third, op.clone())?;
        Ok(noted(&[self, second, third], output, || {
            Operation::Three(op)
        }))
    }
}

/// `output`, noted on the current tape where it is tracked.
fn noted(inputs: &[&Tensor], output: Tensor, op: impl FnOnce() -> Operation) -> Tensor {
    if output.track_op() {
        CURRENT.with_borrow_mut(|tape| {
            if let Some(tape) = tape {
                tape.nodes.push(Node {
                    inputs: inputs.iter().map(|&input| input.clone()).collect(),
                    output: output.clone(),
                    op: op(),
                });
            }
        });
    }
    output
}

/// `a + b`, with broadcasting; no gradient is computed for an operand that is not tracked.
///
/// # Errors
/// When the shapes do not broadcast.
pub fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    elementwise::add(a, b)
}

/// `a * b`, with broadcasting; no gradient is computed for an operand that is not tracked.
///
/// # Errors
/// When the shapes do not broadcast.
pub fn mul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    elementwise::mul(a, b)
}

/// candle's `reshape`.
///
/// # Errors
/// When the number of elements differs.
pub fn reshape(x: &Tensor, shape: impl ShapeWithOneHole) -> Result<Tensor> {
    Ok(noted(&[x], x.reshape(shape)?, || Operation::Reshape))
}

/// candle's `transpose` of two dimensions: a view.
///
/// # Errors
/// When `x` has no such dimension.
pub fn transpose(x: &Tensor, first: usize, second: usize) -> Result<Tensor> {
    let view = x.transpose(first, second)?;
    Ok(noted(&[x], view, || Operation::Transpose(first, second)))
}

/// candle's `narrow`: a view of `len` elements of a dimension.
///
/// # Errors
/// When `x` does not have them.
pub fn narrow(x: &Tensor, dim: usize, start: usize, len: usize) -> Result<Tensor> {
    let view = x.narrow(dim, start, len)?;
    Ok(noted(&[x], view, || Operation::Narrow(dim, start)))
}

/// `factor * x`.
///
/// # Errors
/// When memory runs out.
pub fn scale(x: &Tensor, factor: f64) -> Result<Tensor> {
    let scaled = x.affine(factor, 0.0)?;
    Ok(noted(&[x], scaled, || Operation::Scale(factor)))
}
