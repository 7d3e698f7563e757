//! Products on an Apple GPU, of operands in any layout.

use super::MatMulOptions;
use super::batch::Sizes;
use crate::metal::{Operand, product, product_plus};
use crate::storage::sum_to_shape;
use candle_core::backend::BackendStorage;
use candle_core::{DType, Layout, MetalStorage, Result, Shape, Tensor};

type Stored<'a> = (&'a MetalStorage, &'a Layout);

/// `alpha * op(A) op(B) + beta * C` in the dtype of `A`.
pub(super) fn forward(
    options: MatMulOptions,
    a: Stored<'_>,
    b: Stored<'_>,
    c: Option<Stored<'_>>,
) -> Result<(MetalStorage, Shape)> {
    let sizes = Sizes::new(a.1, b.1, options)?;
    let result_dtype = a.0.dtype();
    let dtype = common(&[Some(a), Some(b), c].map(|x| x.map_or(result_dtype, |x| x.0.dtype())));
    let a = operand(a, options.transpose_a, &sizes, dtype)?;
    let b = operand(b, options.transpose_b, &sizes, dtype)?;
    let y = match c {
        None => product(options.alpha, &a, &b)?,
        Some((c, layout)) => {
            let c = Operand::new(c, layout).in_dtype(dtype)?;
            product_plus(options.alpha, &a, &b, (options.beta, &c))?
        }
    };
    Ok((y.in_dtype(result_dtype)?.into_storage(), sizes.shape()))
}

/// `dA = alpha dy op(B)^T` and `dB = alpha op(A)^T dy`, each where it is tracked, summed over the
/// batch dimensions that were broadcast.
pub(super) fn gradients(
    options: MatMulOptions,
    a: &Tensor,
    b: &Tensor,
    dy: &Tensor,
) -> Result<(Option<Tensor>, Option<Tensor>)> {
    let sizes = Sizes::new(a.layout(), b.layout(), options)?;
    let dtype = common(&[a.dtype(), b.dtype(), dy.dtype()]);
    let wide = |t: &Tensor, transposed| {
        let (storage, layout) = t.storage_and_layout();
        operand(
            (crate::metal::on_metal(&storage)?, layout),
            transposed,
            &sizes,
            dtype,
        )
    };
    let dy = Operand::of(dy)?.in_dtype(dtype)?;
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
    Ok((da.transpose()?, db.transpose()?))
}

/// That of all where it is one, or else float32.
fn common(dtypes: &[DType]) -> DType {
    match dtypes.windows(2).all(|pair| pair[0] == pair[1]) {
        true => dtypes[0],
        false => DType::F32,
    }
}

/// `op(x)`, for every matrix of the batch.
fn operand(x: Stored<'_>, transposed: bool, sizes: &Sizes, dtype: DType) -> Result<Operand> {
    let x = Operand::new(x.0, x.1).in_dtype(dtype)?;
    let x = if transposed { x.transposed()? } else { x };
    x.for_batch(&sizes.batch)
}

fn gradient(of_view: Operand, transposed: bool, like: &Tensor) -> Result<Tensor> {
    let gradient = of_view.into_tensor();
    let rank = gradient.rank();
    let gradient = match transposed {
        true => gradient.transpose(rank - 2, rank - 1)?,
        false => gradient,
    };
    sum_to_shape(&gradient, like)
}
