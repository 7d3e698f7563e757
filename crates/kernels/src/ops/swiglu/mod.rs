//! The gate of a feed-forward layer (Shazeer 2020, <https://arxiv.org/abs/2002.05202>):
//! `y = silu(gate) * up` with `silu(z) = z / (1 + exp(-z))`.
//!
//! Both inputs have the same shape; float32 inside, result in their dtype.
//!
//! Backward: with `s = sigmoid(gate)`, `dup = dy * gate * s` and
//! `dgate = dy * up * s * (1 + gate * (1 - s))`, both in one pass that computes `s` again.

#[cfg(any(test, feature = "testkit"))]
pub mod cases;
#[cfg(any(test, feature = "testkit"))]
pub mod check;
mod cpu;
mod reference;

use crate::path::{self, Path};
use crate::tape::Record;
use crate::{Error, Result};
use candle_core::Tensor;

/// `silu(gate) * up`.
///
/// # Errors
/// When the shapes differ.
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    if gate.dims() != up.dims() {
        return Err(Error::shape(
            "swiglu",
            "up",
            format!("{:?}", gate.dims()),
            up,
        ));
    }
    match path::choose("swiglu", &[gate, up]) {
        Path::Kernel => Ok(gate.record2(up, cpu::SwiGlu)?),
        Path::Reference => reference::forward(gate, up),
    }
}
