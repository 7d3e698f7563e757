//! Broadcasting sum and product that compute no gradient for an operand that is not tracked.
//!
//! candle's own compute both gradients always: a full-size pass over memory for every frozen
//! bias, norm weight and position table. On a CPU they also run in threads of their own, which
//! spin where rayon's would work.

use crate::Result;
use crate::host::{Rows, stored};
use crate::storage::sum_to_shape;
use crate::tape::Record;
use candle_core::backend::BackendStorage;
use candle_core::op::{self, BinaryOpT};
use candle_core::{
    CpuStorage, CudaStorage, CustomOp2, DType, Layout, MetalStorage, Result as CandleResult, Shape,
    Tensor,
};
use metal_candle_cpu::threads::for_each_row;
use std::marker::PhantomData;

/// `a + b`, with broadcasting.
pub(crate) fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    Ok(a.record2(b, Binary::<op::Add>(PhantomData))?)
}

/// `a * b`, with broadcasting.
pub(crate) fn mul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    Ok(a.record2(b, Binary::<op::Mul>(PhantomData))?)
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

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> CandleResult<(CpuStorage, Shape)> {
        match s1.dtype() == s2.dtype() && s1.dtype() != DType::F64 {
            true => forward_rows::<Op>(s1, l1, s2, l2),
            false => self.forward(s1, l1, s2, l2),
        }
    }

    fn cuda_fwd(
        &self,
        s1: &CudaStorage,
        l1: &Layout,
        s2: &CudaStorage,
        l2: &Layout,
    ) -> CandleResult<(CudaStorage, Shape)> {
        self.forward(s1, l1, s2, l2)
    }

    fn metal_fwd(
        &self,
        s1: &MetalStorage,
        l1: &Layout,
        s2: &MetalStorage,
        l2: &Layout,
    ) -> CandleResult<(MetalStorage, Shape)> {
        self.forward(s1, l1, s2, l2)
    }

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

/// A row of the last dimension at a time, in float32 inside.
fn forward_rows<Op: BinaryOpT>(
    s1: &CpuStorage,
    l1: &Layout,
    s2: &CpuStorage,
    l2: &Layout,
) -> CandleResult<(CpuStorage, Shape)> {
    let shape = l1.shape().broadcast_shape_binary_op(l2.shape(), Op::NAME)?;
    let a = Rows::new(s1, &l1.broadcast_as(&shape)?)?;
    let b = Rows::new(s2, &l2.broadcast_as(&shape)?)?;
    let mut y = vec![0.0; shape.elem_count()];
    for_each_row(&mut y, a.width, |i, y| {
        for ((y, a), b) in y.iter_mut().zip(a.row(i)).zip(b.row(i)) {
            *y = Op::f32(*a, *b);
        }
    });
    Ok((stored(y, &shape, s1.dtype())?, shape))
}

fn gradient(x: &Tensor, factor: Option<&Tensor>, grad: &Tensor) -> CandleResult<Option<Tensor>> {
    if !x.track_op() {
        return Ok(None);
    }
    let dx = match factor {
        Some(factor) => mul(&grad.detach(), &factor.detach())?,
        None => grad.clone(),
    };
    sum_to_shape(&dx, x).map(Some)
}
