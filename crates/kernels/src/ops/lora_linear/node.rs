//! The layer as one node of candle's graph, whatever the device: nothing but `dropout(x) A^T` is
//! kept for backward.

#[cfg(any(target_vendor = "apple", soft_metal))]
use super::metal;
use super::{LoraWeights, cpu};
use crate::ops::linear::result_shape;
use crate::path::by_device;
use crate::{Dropout, Weight};
#[cfg(any(target_vendor = "apple", soft_metal))]
use candle_core::MetalStorage;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Storage, Tensor};
use std::sync::OnceLock;

/// What is the same in forward and backward.
pub(super) struct Frozen {
    /// `(N, K)`.
    pub(super) weight: Weight,
    /// `(N)`.
    pub(super) bias: Option<Tensor>,
    pub(super) scale: f64,
    pub(super) dropout: Option<Dropout>,
}

pub(super) struct LoraLinear {
    frozen: Frozen,
    /// `h = dropout(x) A^T`, `(M, R)`, written by forward.
    h: OnceLock<Storage>,
}

/// The gradients of `x`, `A` and `B`, each where it is tracked.
pub(super) type Gradients = (Option<Tensor>, Option<Tensor>, Option<Tensor>);

impl LoraLinear {
    pub(super) fn new(weight: &Weight, bias: Option<&Tensor>, lora: LoraWeights<'_>) -> Self {
        let frozen = Frozen {
            weight: weight.detach(),
            bias: bias.map(Tensor::detach),
            scale: lora.scale,
            dropout: lora.dropout,
        };
        let h = OnceLock::new();
        Self { frozen, h }
    }

    /// Keeps `h`; a second run of the same operation would write the same numbers.
    fn keep(&self, h: Storage) {
        let _ = self.h.set(h);
    }
}

impl CustomOp3 for LoraLinear {
    fn name(&self) -> &'static str {
        "lora_linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let shape = result_shape(x_layout.dims(), b_layout.dims()[0]);
        let operands = [(x, x_layout), (a, a_layout), (b, b_layout)];
        let (y, h) = cpu::forward(&self.frozen, operands, &shape)?;
        self.keep(Storage::Cpu(h));
        Ok((y, shape))
    }

    #[cfg(any(target_vendor = "apple", soft_metal))]
    fn metal_fwd(
        &self,
        x: &MetalStorage,
        x_layout: &Layout,
        a: &MetalStorage,
        a_layout: &Layout,
        b: &MetalStorage,
        b_layout: &Layout,
    ) -> Result<(MetalStorage, Shape)> {
        let operands = [(x, x_layout), (a, a_layout), (b, b_layout)];
        let (y, h) = metal::forward(&self.frozen, operands)?;
        self.keep(Storage::Metal(h));
        Ok((y, result_shape(x_layout.dims(), b_layout.dims()[0])))
    }

    fn bwd(
        &self,
        x: &Tensor,
        a: &Tensor,
        b: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<Gradients> {
        let Some(h) = self.h.get() else {
            candle_core::bail!("lora_linear: backward before forward");
        };
        by_device!(dy,
            cpu: cpu::backward(&self.frozen, h, [x, a, b], dy),
            metal: metal::backward(&self.frozen, h, [x, a, b], dy))
    }
}
