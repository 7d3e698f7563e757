//! Products on an Apple GPU, of operands in any layout.

use super::MatMul;
use super::batch::Sizes;
use crate::Result;
use crate::graph::{Function, Gradients, Trace, Value};
use crate::metal::{DeviceTensor, product, product_plus};
use crate::storage::sum_to_shape;
use candle_core::{DType, Result as CandleResult, Tensor};

pub(super) struct Metal;

impl<const N: usize> Function<MatMul, N> for Metal {
    type Saved = ();

    /// In the dtype of `A`.
    fn forward(MatMul(options): &MatMul, operands: [&Tensor; N]) -> Result<(Value, ())> {
        let (a, b, c) = (operands[0], operands[1], operands.get(2));
        let sizes = Sizes::new(a.layout(), b.layout(), *options)?;
        let dtype = common(operands);
        let left = operand(a, options.transpose_a, &sizes, dtype)?;
        let right = operand(b, options.transpose_b, &sizes, dtype)?;
        let y = match c {
            None => product(options.alpha, &left, &right)?,
            Some(c) => {
                let c = DeviceTensor::of(c)?.in_dtype(dtype)?;
                product_plus(options.alpha, &left, &right, (options.beta, &c))?
            }
        };
        Ok((y.in_dtype(a.dtype())?.into_value(sizes.shape()), ()))
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
    let dtype = common([a, b, dy]);
    let wide = |t: &Tensor, transposed| operand(t, transposed, &sizes, dtype);
    let dy = DeviceTensor::of(dy)?.in_dtype(dtype)?;
    let da = a.track_op().then(|| {
        let da = product(
            options.alpha,
            &dy,
            &wide(b, options.transpose_b)?.transposed()?,
        )?;
        gradient(da, options.transpose_a, a)
    });
    let db = b.track_op().then(|| {
        let db = product(
            options.alpha,
            &wide(a, options.transpose_a)?.transposed()?,
            &dy,
        )?;
        gradient(db, options.transpose_b, b)
    });
    Ok([da.transpose()?, db.transpose()?])
}

/// The dtype of all where it is one, or else float32.
fn common<const N: usize>(tensors: [&Tensor; N]) -> DType {
    let dtype = tensors[0].dtype();
    match tensors.iter().all(|other| other.dtype() == dtype) {
        true => dtype,
        false => DType::F32,
    }
}

/// `op(x)`, for every matrix of the batch.
fn operand(
    x: &Tensor,
    transposed: bool,
    sizes: &Sizes,
    dtype: DType,
) -> CandleResult<DeviceTensor> {
    let x = DeviceTensor::of(x)?.in_dtype(dtype)?;
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
