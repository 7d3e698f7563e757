//! The gate of a feed-forward layer (Shazeer 2020, <https://arxiv.org/abs/2002.05202>):
//! `y = activation(gate) * up`.
//!
//! Both inputs have the same shape; float32 inside, result in their dtype.
//!
//! Both activations are `z * sigmoid(w(z))`. Backward: with `s = sigmoid(w(gate))`,
//! `dup = dy * gate * s` and `dgate = dy * up * s * (1 + gate * w'(gate) * (1 - s))`, both in one pass
//! that computes `s` again.

#[cfg(any(test, feature = "testkit"))]
pub mod cases;
#[cfg(any(test, feature = "testkit"))]
pub mod check;
mod cpu;
#[cfg(any(target_vendor = "apple", soft_metal))]
mod metal;
mod reference;

use crate::graph::path::{Devices, KernelFn, metal};
use crate::graph::{Kernel, Operation};
use crate::{Error, Result};
use candle_core::Tensor;

const DEVICES: Devices<KernelFn<Glu, 2>> = Devices {
    cpu: Some(cpu::Cpu::run),
    metal: metal!(metal::Metal::run),
    cuda: None,
};

/// Function that a gate goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `z * sigmoid(z)`: the layer is SwiGLU.
    Silu,
    /// `z * (1 + tanh(sqrt(2 / pi) * (z + 0.044715 z^3))) / 2`, transformers' `gelu_pytorch_tanh`:
    /// the layer is GeGLU.
    GeluTanh,
}

impl Activation {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Silu, Self::GeluTanh];

    /// Name of the layer that it makes.
    #[must_use]
    pub fn layer(self) -> &'static str {
        match self {
            Self::Silu => "swiglu",
            Self::GeluTanh => "geglu",
        }
    }
}

/// `activation(gate) * up`.
///
/// # Errors
/// When the shapes differ.
pub fn glu(gate: &Tensor, up: &Tensor, activation: Activation) -> Result<Tensor> {
    let op = activation.layer();
    if gate.dims() != up.dims() {
        return Err(Error::shape(op, "up", format!("{:?}", gate.dims()), up));
    }
    match DEVICES.kernel(op, gate, [up]) {
        Some(run) => run(Glu(activation), [gate, up]).map(|[y]| y),
        None => reference::forward(gate, up, activation),
    }
}

struct Glu(Activation);

impl Operation for Glu {
    fn name(&self) -> &'static str {
        self.0.layer()
    }
}
