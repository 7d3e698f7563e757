//! Broadcasting sum and product that compute no gradient for an operand that is not tracked.
//!
//! candle's own compute both gradients always: a full-size pass over memory for every frozen
//! bias, norm weight and position table.

use crate::Result;
use crate::storage::{forward2_on_every_backend, sum_to_shape};
use candle_core::backend::BackendStorage;
use candle_core::op::{self, BinaryOpT};
use candle_core::{CustomOp2, Layout, Result as CandleResult, Shape, Tensor};
use std::marker::PhantomData;

/// `a + b`, with broadcasting.
pub(crate) fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    Ok(a.apply_op2(b, Binary::<op::Add>(PhantomData))?)
}

/// `a * b`, with broadcasting.
pub(crate) fn mul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    Ok(a.apply_op2(b, Binary::<op::Mul>(PhantomData))?)
}

struct Binary<Op>(PhantomData<Op>);

/// The factors of the upstream gradient for each operand; `None` is a factor of one.
trait Derivative: BinaryOpT + Send + Sync {
    fn factors<'a>(a: &'a Tensor, b: &'a Tensor) -> (Option<&'a Tensor>, Option<&'a Tensor>);
}

impl Derivative for op::Add {
    fn factors<'a>(_: &'a Tensor, _: &'a Tensor) -> (Option<&'a Tensor>, Option<&'a Tensor>) {
        (None, None)
    }
}

impl Derivative for op::Mul {
    fn factors<'a>(a: &'a Tensor, b: &'a Tensor) -> (Option<&'a Tensor>, Option<&'a Tensor>) {
        (Some(b), Some(a))
    }
}

impl<Op: Derivative> Binary<Op> {
    fn forward<S: BackendStorage>(
        &self,
        s1: &S,
        l1: &Layout,
        s2: &S,
        l2: &Layout,
    ) -> CandleResult<(S, Shape)> {
        let shape = l1.shape().broadcast_shape_binary_op(l2.shape(), Op::NAME)?;
        let (l1, l2) = (l1.broadcast_as(&shape)?, l2.broadcast_as(&shape)?);
        Ok((s1.binary_impl::<Op>(s2, &l1, &l2)?, shape))
    }
}

impl<Op: Derivative> CustomOp2 for Binary<Op> {
    fn name(&self) -> &'static str {
        Op::NAME
    }

    forward2_on_every_backend!(forward);

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> CandleResult<(Option<Tensor>, Option<Tensor>)> {
        let (factor_a, factor_b) = Op::factors(a, b);
        Ok((gradient(a, factor_a, grad)?, gradient(b, factor_b, grad)?))
    }
}

fn gradient(x: &Tensor, factor: Option<&Tensor>, grad: &Tensor) -> CandleResult<Option<Tensor>> {
    if !x.track_op() {
        return Ok(None);
    }
    let dx = match factor {
        Some(factor) => grad.broadcast_mul(&factor.detach())?,
        None => grad.clone(),
    };
    sum_to_shape(&dx, x).map(Some)
}
