//! Products on an Apple GPU, by the engine that crates/mps chooses.

use super::DeviceTensor;
use candle_core::{MetalStorage, Result, Shape};
use metal_candle_mps::metal as mps;

/// `alpha * a b`, `(.., M, N)` for `(.., M, K)` and `(.., K, N)`; batches broadcast.
pub(crate) fn product(alpha: f64, a: &DeviceTensor, b: &DeviceTensor) -> Result<DeviceTensor> {
    packed(mps::gemm(a.view(), b.view(), None, alpha, 0.0))
}

/// `alpha * a b + beta * c`; `c` broadcasts to the product.
pub(crate) fn product_plus(
    alpha: f64,
    a: &DeviceTensor,
    b: &DeviceTensor,
    (beta, c): (f64, &DeviceTensor),
) -> Result<DeviceTensor> {
    packed(mps::gemm(a.view(), b.view(), Some(c.view()), alpha, beta))
}

/// `a b + bias` in memory that [`add_product`] can add to where it is.
pub(crate) fn product_to_add_to(
    a: &DeviceTensor,
    b: &DeviceTensor,
    bias: Option<&DeviceTensor>,
) -> Result<DeviceTensor> {
    let bias = bias.map(DeviceTensor::view);
    packed(mps::gemm_with_room(a.view(), b.view(), bias, 1.0, 1.0))
}

/// `y + alpha * a b` in the memory of `y`, a result that nothing else holds; in a longer copy of it
/// where the kernel reads past its end.
pub(crate) fn add_product(
    y: DeviceTensor,
    alpha: f64,
    a: &DeviceTensor,
    b: &DeviceTensor,
) -> Result<DeviceTensor> {
    let shape = y.layout.shape().clone();
    let y = mps::gemm_onto(y.storage, a.view(), b.view(), alpha, 1.0)?;
    Ok(DeviceTensor::packed(y, shape))
}

fn packed(result: Result<(MetalStorage, Shape)>) -> Result<DeviceTensor> {
    let (storage, shape) = result?;
    Ok(DeviceTensor::packed(storage, shape))
}

impl DeviceTensor {
    fn view(&self) -> mps::Operand<'_> {
        mps::Operand {
            storage: &self.storage,
            layout: &self.layout,
        }
    }
}
