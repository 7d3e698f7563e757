//! Products on an Apple GPU, of operands in any layout.

use super::MatMul;
use super::batch::Sizes;
use crate::Result;
use crate::graph::{Function, Gradients, Trace, Value};
use crate::metal::{DeviceTensor, Room, product, product_with_room};
use crate::storage::sum_to_shape;
use candle_core::{Result as CandleResult, Tensor};

pub(super) struct Metal;

impl<const N: usize> Function<MatMul, N> for Metal {
    type Saved = ();

    /// In the dtype of `A`.
    fn forward(MatMul(options): &MatMul, operands: [&Tensor; N]) -> Result<(Value, ())> {
        let (a, b, c) = (operands[0], operands[1], operands.get(2));
        let sizes = Sizes::new(a.layout(), b.layout(), *options)?;
        let left = operand(a, options.transpose_a, &sizes)?;
        let right = operand(b, options.transpose_b, &sizes)?;
        let c = c.map(|c| DeviceTensor::of(c)).transpose()?;
        let addend = c.as_ref().map(|c| (options.beta, c));
        let y = product_with_room(options.alpha, &left, &right, addend, Room::None)?;
        Ok((y.into_value(sizes.shape()), ()))
    }

    fn backward(op: &MatMul, (): &(), trace: Trace<'_, N>) -> Result<Gradients<N>> {
        let Trace {
            inputs: operands,
            dy,
            ..
        } = trace;
        let of_product = product_gradients(op, &operands[0], &operands[1], dy)?;
        op.gradients(operands, of_product, dy)
    }
}

/// `dA = alpha dy op(B)^T` and `dB = alpha op(A)^T dy`, each where it is tracked, summed over the
/// batch dimensions that were broadcast.
fn product_gradients(
    MatMul(options): &MatMul,
    a: &Tensor,
    b: &Tensor,
    dy: &Tensor,
) -> Result<Gradients<2>> {
    let sizes = Sizes::new(a.layout(), b.layout(), *options)?;
    let wide = |t: &Tensor, transposed| operand(t, transposed, &sizes);
    let dy = DeviceTensor::of(dy)?;
    let da = a.track_op().then(|| {
        let b = wide(b, options.transpose_b)?.transposed()?;
        gradient(product(options.alpha, &dy, &b)?, options.transpose_a, a)
    });
    let db = b.track_op().then(|| {
        // The gradient is rounded to the dtype of `B`, and no other.
        let a = wide(a, options.transpose_a)?.transposed()?;
        let a = a.in_dtype(b.dtype())?;
        gradient(product(options.alpha, &a, &dy)?, options.transpose_b, b)
    });
    Ok([da.transpose()?, db.transpose()?])
}

/// `op(x)`, for every matrix of the batch.
fn operand(x: &Tensor, transposed: bool, sizes: &Sizes) -> CandleResult<DeviceTensor> {
    let x = DeviceTensor::of(x)?;
    let x = if transposed { x.transposed()? } else { x };
    x.for_batch(&sizes.batch)
}

fn gradient(of_view: DeviceTensor, transposed: bool, like: &Tensor) -> CandleResult<Tensor> {
    let gradient = of_view.into_tensor();
    let rank = gradient.rank();
    let gradient = match transposed {
        true => gradient.transpose(rank - 2, rank - 1)?,
        false => gradient,
    };
    sum_to_shape(&gradient, like)
}
