//! `softmax(x)_i = exp(x_i - max(x)) / sum_j exp(x_j - max(x))` over the last dimension.
//!
//! `x` is `(.., D)`, float32 inside, result in the dtype of `x`. An entry of -inf has probability
//! zero; a row of -inf only is NaN, as in PyTorch.
//!
//! Backward: `dx = y * (dy - sum(dy * y))`, from the result; nothing else is kept.

#[cfg(any(test, feature = "testkit"))]
pub mod cases;
#[cfg(any(test, feature = "testkit"))]
pub mod check;
mod cpu;
#[cfg(any(target_vendor = "apple", soft_metal))]
mod metal;
pub(crate) mod reference;

use crate::Result;
use crate::graph::path::{Devices, KernelFn, metal};
use crate::graph::{Kernel, Operation};
use candle_core::Tensor;

const DEVICES: Devices<KernelFn<Softmax, 1>> = Devices {
    cpu: Some(cpu::Cpu::run),
    metal: metal!(metal::Metal::run),
    cuda: None,
};

/// Softmax over the last dimension.
///
/// # Errors
/// When `x` has no dimension.
pub fn softmax(x: &Tensor) -> Result<Tensor> {
    match DEVICES.kernel("softmax", x, []) {
        Some(run) => run(Softmax, [x]).map(|[y]| y),
        None => reference::forward(x),
    }
}

struct Softmax;

impl Operation for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }
}
