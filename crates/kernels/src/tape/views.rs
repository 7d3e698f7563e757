//! candle's views, and a factor, noted on the tape.

use super::note;
use crate::Result;
use crate::node::Node;
use candle_core::shape::ShapeWithOneHole;
use candle_core::{Result as CandleResult, Tensor};
use std::sync::Arc;

/// candle's `reshape`.
///
/// # Errors
/// When the number of elements differs.
pub fn reshape(x: &Tensor, shape: impl ShapeWithOneHole) -> Result<Tensor> {
    let view = x.reshape(shape)?;
    noted(x, view, "reshape", |x, dy| dy.reshape(x.shape()))
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
