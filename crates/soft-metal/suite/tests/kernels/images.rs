//! Convolutions, pools and changes of size.

use crate::compare::*;
use candle_core::{DType, IndexOp, Result, Tensor};
use soft_metal::Guard;

const POOLED: &[DType] = &[DType::F32, DType::F16, DType::BF16, DType::U8, DType::U32];

fn image(x: &Tensor) -> Result<Tensor> {
    x.reshape((1, 5, 6, 7))
}

#[test]
fn convolutions() -> Result<()> {
    let _guard = Guard::comparing();
    compare(1e-3, FLOATS, |x| x.conv1d(&x.i((..2, .., ..3))?.contiguous()?, 1, 1, 1, 1))?;
    let square = |x: &Tensor| x.i((.., ..2, ..2))?.contiguous()?.reshape((1, 5, 2, 2));
    compare(1e-3, FLOATS, |x| image(x)?.conv2d(&square(x)?, 1, 1, 1, 1))?;
    let across = |x: &Tensor| x.i((.., ..2, ..2))?.contiguous()?.reshape((5, 1, 2, 2));
    compare(1e-3, FLOATS, |x| image(x)?.conv_transpose2d(&across(x)?, 0, 0, 2, 1))?;
    for dilation in [1, 2] {
        let kernel = |x: &Tensor| wave(&[6, 2, 3], 0.7, x);
        // One at a time: candle's CPU multiplies a batch of these wrongly (docs/log/upstream.md).
        compare(1e-3, FLOATS, |x| x.i(1..2)?.conv_transpose1d(&kernel(x)?, 0, 0, 2, dilation, 1))?;
    }
    compare_on(coarse, 0., &[DType::U8, DType::U32], |x| {
        let kernel = x.i((2, ..2))?.reshape((2, 7, 1))?;
        x.i((1..2, ..2))?.contiguous()?.conv_transpose1d(&kernel, 0, 0, 1, 2, 1)
    })
}

#[test]
fn pools_and_sizes() -> Result<()> {
    let _guard = Guard::comparing();
    compare_on(coarse, 1e-3, FLOATS, |x| image(x)?.avg_pool2d(2))?;
    compare_on(coarse, 1e-3, POOLED, |x| image(x)?.max_pool2d(2))?;
    compare_on(coarse, 1e-3, POOLED, |x| image(x)?.upsample_nearest2d(9, 14))?;
    compare_on(coarse, 1e-3, POOLED, |x| image(x)?.upsample_bilinear2d(12, 14, false))
}
