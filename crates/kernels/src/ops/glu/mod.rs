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

use crate::path::{self, Path, by_device};
use crate::tape::Record;
use crate::{Error, Result};
use candle_core::{CpuStorage, CustomOp2, Layout, Result as CandleResult, Shape, Tensor};

/// What a gate goes through.
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
    match path::choose(op, &[gate, up]) {
        Path::Kernel => Ok(gate.record2(up, Glu(activation))?),
        Path::Reference => reference::forward(gate, up, activation),
    }
}

struct Glu(Activation);

impl CustomOp2 for Glu {
    fn name(&self) -> &'static str {
        self.0.layer()
    }

    fn cpu_fwd(
        &self,
        gate: &CpuStorage,
        gate_layout: &Layout,
        up: &CpuStorage,
        up_layout: &Layout,
    ) -> CandleResult<(CpuStorage, Shape)> {
        let y = cpu::forward((gate, gate_layout), (up, up_layout), self.0)?;
        Ok((y, gate_layout.shape().clone()))
    }

    #[cfg(any(target_vendor = "apple", soft_metal))]
    fn metal_fwd(
        &self,
        gate: &candle_core::MetalStorage,
        gate_layout: &Layout,
        up: &candle_core::MetalStorage,
        up_layout: &Layout,
    ) -> CandleResult<(candle_core::MetalStorage, Shape)> {
        let y = metal::forward((gate, gate_layout), (up, up_layout), self.0)?;
        Ok((y, gate_layout.shape().clone()))
    }

    fn bwd(
        &self,
        gate: &Tensor,
        up: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> CandleResult<(Option<Tensor>, Option<Tensor>)> {
        let [dgate, dup] = by_device!(dy,
            cpu: cpu::backward(gate, up, dy, self.0)?,
            metal: metal::backward(gate, up, dy, self.0)?);
        let tracked = |gradient, input: &Tensor| input.track_op().then_some(gradient);
        Ok((tracked(dgate, gate), tracked(dup, up)))
    }
}
