//! Broadcasting sum and product that compute no gradient for an operand that is not tracked, and copies in order.
//!
//! candle's own compute both gradients always: a full-size pass over memory for every frozen
//! bias, norm weight and position table. On a CPU they also run in threads of their own, which
//! spin where rayon's would work.

#[cfg(any(target_vendor = "apple", soft_metal))]
mod metal;

use crate::Result;
use crate::graph::path::{Devices, KernelFn, metal};
use crate::graph::{Function, Gradients, Kernel, Operation, Trace, Value};
use crate::host::{Rows, stored};
use crate::storage::{on_any_device, sum_to_shape};
use candle_core::backend::BackendStorage;
use candle_core::op::{self, BinaryOpT};
use candle_core::{Layout, Result as CandleResult, Shape, Tensor};
use metal_candle_cpu::threads::for_each_row;
use std::marker::PhantomData;

/// `a + b`, with broadcasting.
pub(crate) fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    Binary::<op::Add>::of(a, b)
}

/// `a * b`, with broadcasting.
pub(crate) fn mul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    Binary::<op::Mul>::of(a, b)
}

/// `x` where its elements lie in order, and elsewhere a copy; on other devices than Apple's GPUs `x`, which candle
/// copies where it has to.
pub(crate) fn in_order(x: &Tensor) -> Result<Tensor> {
    let copies = x.device().is_metal() && x.rank() <= MOST_DIMENSIONS && !x.is_contiguous();
    match copies.then(|| InOrder::DEVICES.kernel("copy", x, [])) {
        Some(Some(run)) => run(InOrder, [x]).map(|[copy]| copy),
        _ => Ok(x.clone()),
    }
}

/// Dimensions of what an Apple GPU computes at most, whatever the strides.
const MOST_DIMENSIONS: usize = 5;

struct InOrder;

impl Operation for InOrder {
    fn name(&self) -> &'static str {
        "copy"
    }
}

impl InOrder {
    const DEVICES: Devices<KernelFn<Self, 1>> = Devices {
        cpu: None,
        metal: metal!(metal::Metal::run),
        cuda: None,
    };
}

struct Binary<Op>(PhantomData<Op>);

/// A sum or a product, and its gradients.
trait Derivative: BinaryOpT + Send + Sync + 'static {
    /// Kernels on Apple GPUs: of any rows, and of those that divide into fours.
    #[cfg(any(target_vendor = "apple", soft_metal))]
    const KERNELS: [&'static str; 2];

    /// The factors of the upstream gradient for each operand; `None` is a factor of one.
    fn factors(operands: &[Tensor; 2]) -> [Option<&Tensor>; 2];
}

impl Derivative for op::Add {
    #[cfg(any(target_vendor = "apple", soft_metal))]
    const KERNELS: [&'static str; 2] = ["elementwise_sum", "elementwise_sum_fours"];

    fn factors(_: &[Tensor; 2]) -> [Option<&Tensor>; 2] {
        [None, None]
    }
}

impl Derivative for op::Mul {
    #[cfg(any(target_vendor = "apple", soft_metal))]
    const KERNELS: [&'static str; 2] = ["elementwise_product", "elementwise_product_fours"];

    fn factors([a, b]: &[Tensor; 2]) -> [Option<&Tensor>; 2] {
        [Some(b), Some(a)]
    }
}

impl<Op: Derivative> Operation for Binary<Op> {
    fn name(&self) -> &'static str {
        Op::NAME
    }
}

impl<Op: Derivative> Binary<Op> {
    const DEVICES: Devices<KernelFn<Self, 2>> = Devices {
        cpu: Some(Cpu::run),
        metal: metal!(metal::Metal::run),
        cuda: None,
    };

    fn of(a: &Tensor, b: &Tensor) -> Result<Tensor> {
        // Two dtypes are for candle to refuse.
        let kernel = match a.dtype() == b.dtype() {
            true => Self::DEVICES.kernel(Op::NAME, a, [b]),
            false => None,
        };
        let run = kernel.unwrap_or(Candle::run);
        let [y] = run(Self(PhantomData), [a, b])?;
        Ok(y)
    }

    /// Shape of the result, and both operands in it.
    fn broadcast(a: &Tensor, b: &Tensor) -> CandleResult<(Shape, [Layout; 2])> {
        let shape = a.shape().broadcast_shape_binary_op(b.shape(), Op::NAME)?;
        let layouts = [
            a.layout().broadcast_as(&shape)?,
            b.layout().broadcast_as(&shape)?,
        ];
        Ok((shape, layouts))
    }

    fn gradients(operands: &[Tensor; 2], dy: &Tensor) -> Result<Gradients<2>> {
        let [factor_a, factor_b] = Op::factors(operands);
        let [a, b] = operands;
        Ok([gradient(a, factor_a, dy)?, gradient(b, factor_b, dy)?])
    }
}

/// A row of the last dimension at a time, in float32 inside.
struct Cpu;

impl<Op: Derivative> Function<Binary<Op>, 2> for Cpu {
    type Saved = ();

    fn forward(_: &Binary<Op>, [a, b]: [&Tensor; 2]) -> Result<(Value, ())> {
        let (shape, [a_layout, b_layout]) = Binary::<Op>::broadcast(a, b)?;
        let (a_storage, b_storage) = (a.storage_and_layout().0, b.storage_and_layout().0);
        let a_rows = Rows::of(&a_storage, &a_layout)?;
        let b_rows = Rows::of(&b_storage, &b_layout)?;
        let mut y = vec![0.0; shape.elem_count()];
        for_each_row(&mut y, a_rows.width, |i, y| {
            for ((y, a), b) in y.iter_mut().zip(a_rows.row(i)).zip(b_rows.row(i)) {
                *y = Op::f32(*a, *b);
            }
        });
        Ok((Value::cpu(stored(y, &shape, a.dtype())?, shape), ()))
    }

    fn backward(_: &Binary<Op>, (): &(), trace: Trace<'_, 2>) -> Result<Gradients<2>> {
        let Trace {
            inputs: operands,
            dy,
            ..
        } = trace;
        Binary::<Op>::gradients(operands, dy)
    }
}

/// candle's own, on any device.
struct Candle;

impl<Op: Derivative> Function<Binary<Op>, 2> for Candle {
    type Saved = ();

    fn forward(_: &Binary<Op>, [a, b]: [&Tensor; 2]) -> Result<(Value, ())> {
        let (shape, [a_layout, b_layout]) = Binary::<Op>::broadcast(a, b)?;
        let (a, b) = (a.storage_and_layout().0, b.storage_and_layout().0);
        let y = on_any_device!(&*a, &*b, |a, b| {
            BackendStorage::binary_impl::<Op>(a, b, &a_layout, &b_layout)
        })?;
        Ok((Value::new(y, shape), ()))
    }

    fn backward(_: &Binary<Op>, (): &(), trace: Trace<'_, 2>) -> Result<Gradients<2>> {
        let Trace {
            inputs: operands,
            dy,
            ..
        } = trace;
        Binary::<Op>::gradients(operands, dy)
    }
}

fn gradient(x: &Tensor, factor: Option<&Tensor>, dy: &Tensor) -> Result<Option<Tensor>> {
    if !x.track_op() {
        return Ok(None);
    }
    let dx = match factor {
        Some(factor) => mul(&dy.detach(), &factor.detach())?,
        None => dy.clone(),
    };
    Ok(Some(sum_to_shape(&dx, x)?))
}
