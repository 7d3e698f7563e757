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
#[cfg(any(target_vendor = "apple", soft_metal))]
mod metal;
mod reference;

use crate::path::{self, Path, by_device};
use crate::tape::Record;
use crate::{Error, Result};
use candle_core::{CpuStorage, CustomOp2, Layout, Result as CandleResult, Shape, Tensor};

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
        Path::Kernel => Ok(gate.record2(up, SwiGlu)?),
        Path::Reference => reference::forward(gate, up),
    }
}

struct SwiGlu;

impl CustomOp2 for SwiGlu {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn cpu_fwd(
        &self,
        gate: &CpuStorage,
        gate_layout: &Layout,
        up: &CpuStorage,
        up_layout: &Layout,
    ) -> CandleResult<(CpuStorage, Shape)> {
        let y = cpu::forward((gate, gate_layout), (up, up_layout))?;
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
        let y = metal::forward((gate, gate_layout), (up, up_layout))?;
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
            cpu: cpu::backward(gate, up, dy)?,
            metal: metal::backward(gate, up, dy)?);
        let tracked = |gradient, input: &Tensor| input.track_op().then_some(gradient);
        Ok((tracked(dgate, gate), tracked(dup, up)))
    }
}
