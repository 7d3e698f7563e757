//! `y = x W^T + bias`, for a weight of any storage.
//!
//! `x` is `(.., K)`, `W` is `(N, K)`, `bias` is `(N)`. The result has the dtype of `x`; sums are
//! accumulated in float32.
//!
//! Backward: `dx = dy W`, and for a dense weight and its bias, where they are tracked, the gradients
//! of a product. A packed weight is frozen, and read in blocks: it is never dense as a whole.

#[cfg(any(test, feature = "testkit"))]
pub mod cases;
#[cfg(any(test, feature = "testkit"))]
pub mod check;
pub(crate) mod cpu;
#[cfg(any(target_vendor = "apple", soft_metal))]
mod metal;

use crate::graph::path::{Devices, KernelFn, metal};
use crate::graph::{Kernel, Operation};
use crate::ops::matmul;
use crate::{Error, Result, Weight};
use candle_core::{Shape, Tensor};

/// Kernels for packed weights.
const DEVICES: Devices<KernelFn<Linear, 1>> = Devices {
    cpu: Some(cpu::Cpu::run),
    metal: metal!(metal::Metal::run),
    cuda: None,
};

/// `x W^T + bias`.
///
/// # Errors
/// When the inner sizes differ, or the bias is not `(N)`.
pub fn linear(x: &Tensor, weight: &Weight, bias: Option<&Tensor>) -> Result<Tensor> {
    check_shapes("linear", x, weight, bias)?;
    match weight {
        Weight::Dense(tensor) => matmul::linear(x, tensor, bias),
        Weight::Packed(_) => match DEVICES.kernel("linear", x, []) {
            Some(run) => run(Linear::new(weight, bias), [x]).map(|[y]| y),
            None => reference(x, weight, bias),
        },
    }
}

/// The definition, where weight and bias are frozen: the product with the dense matrix.
pub(crate) fn reference(x: &Tensor, weight: &Weight, bias: Option<&Tensor>) -> Result<Tensor> {
    matmul::reference::linear(x, &weight.dense()?, bias.map(Tensor::detach).as_ref())
}

/// Check that `x` is `(.., K)` and the bias `(N)`.
pub(crate) fn check_shapes(
    op: &'static str,
    x: &Tensor,
    weight: &Weight,
    bias: Option<&Tensor>,
) -> Result<()> {
    let (n, k) = weight.dims()?;
    if x.dims().last() != Some(&k) {
        return Err(Error::shape(op, "x", format!("(.., {k})"), x));
    }
    match bias {
        Some(bias) if bias.dims() != [n] => Err(Error::shape(op, "bias", format!("({n})"), bias)),
        _ => Ok(()),
    }
}

/// `(.., N)` for `x` of `(.., K)`.
pub(crate) fn result_shape(x: &[usize], n: usize) -> Shape {
    Shape::from([&x[..x.len() - 1], &[n]].concat())
}

/// The product of `x` with a packed weight.
struct Linear {
    weight: Weight,
    bias: Option<Tensor>,
}

impl Linear {
    fn new(weight: &Weight, bias: Option<&Tensor>) -> Self {
        Self {
            weight: weight.detach(),
            bias: bias.map(Tensor::detach),
        }
    }
}

impl Operation for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }
}
