//! candle's views, and a factor, noted on the tape.

use super::note;
use crate::Result;
use crate::graph::elementwise::in_order;
use crate::graph::{Node, Value};
use candle_core::op::BackpropOp;
use candle_core::shape::ShapeWithOneHole;
use candle_core::{DType, Error as CandleError, Result as CandleResult, Tensor};
use std::sync::Arc;

/// `x` as the beginning of a graph: tracked, whatever led to it. On Apple GPUs it has the memory of `x`.
///
/// # Errors
/// When memory runs out.
pub fn leaf(x: &Tensor) -> Result<Tensor> {
    let x = match x.layout().start_offset() {
        0 => x.contiguous()?,
        _ => x.force_contiguous()?,
    };
    let Value { storage, shape } = Value::copied(&x)?;
    Ok(Tensor::from_storage(
        storage,
        shape,
        BackpropOp::none(),
        true,
    ))
}

/// candle's `reshape`.
///
/// # Errors
/// When the number of elements differs.
pub fn reshape(x: &Tensor, shape: impl ShapeWithOneHole) -> Result<Tensor> {
    let x = in_order(x)?;
    let view = x.reshape(shape)?;
    noted(&x, view, "reshape", |x, dy| {
        in_order(dy).map_err(CandleError::wrap)?.reshape(x.shape())
    })
}

/// candle's `transpose` of two dimensions: a view.
///
/// # Errors
/// When `x` has no such dimension.
pub fn transpose(x: &Tensor, first: usize, second: usize) -> Result<Tensor> {
    let view = x.transpose(first, second)?;
    noted(x, view, "transpose", move |_, dy| {
        dy.transpose(first, second)
    })
}

/// candle's `narrow`: a view of `len` elements of a dimension.
///
/// # Errors
/// When `x` does not have them.
pub fn narrow(x: &Tensor, dim: usize, start: usize, len: usize) -> Result<Tensor> {
    let view = x.narrow(dim, start, len)?;
    noted(x, view, "narrow", move |x, dy| {
        let after = x.dim(dim)? - start - len;
        dy.pad_with_zeros(dim, start, after)
    })
}

/// `factor * x`.
///
/// # Errors
/// When memory runs out.
pub fn scale(x: &Tensor, factor: f64) -> Result<Tensor> {
    let scaled = x.affine(factor, 0.0)?;
    noted(x, scaled, "scale", move |_, dy| dy.affine(factor, 0.0))
}

/// `x` in another dtype; the gradient has that of `x`.
///
/// # Errors
/// When memory runs out.
pub fn cast(x: &Tensor, dtype: DType) -> Result<Tensor> {
    if x.dtype() == dtype {
        return Ok(x.clone());
    }
    let cast = x.to_dtype(dtype)?;
    noted(x, cast, "cast", |x, dy| dy.to_dtype(x.dtype()))
}

struct View<B> {
    x: [Tensor; 1],
    name: &'static str,
    /// Gradient of `x` from that of the result.
    backward: B,
}

fn noted(
    x: &Tensor,
    view: Tensor,
    name: &'static str,
    backward: impl Fn(&Tensor, &Tensor) -> CandleResult<Tensor> + Send + Sync + 'static,
) -> Result<Tensor> {
    note(std::slice::from_ref(&view), || {
        let x = [x.clone()];
        Arc::new(View { x, name, backward })
    });
    Ok(view)
}

impl<B: Fn(&Tensor, &Tensor) -> CandleResult<Tensor> + Send + Sync> Node for View<B> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn inputs(&self) -> &[Tensor] {
        &self.x
    }

    fn backward(&self, _: &[Tensor], upstream: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        let [x] = &self.x;
        let dx = |dy: &Option<Tensor>| {
            let dx = dy.as_ref().map(|dy| (self.backward)(x, dy));
            dx.transpose()
        };
        Ok(upstream.iter().map(dx).collect::<CandleResult<_>>()?)
    }
}
