//! The node of the graph, on every device.

#[cfg(any(target_vendor = "apple", soft_metal))]
use super::metal;
use super::sizes::{Scoring, Sizes};
use super::{AttentionMask, AttentionScores, cpu};
use crate::path::by_device;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use std::sync::OnceLock;

pub(super) struct Attention {
    pub(super) sizes: Sizes,
    pub(super) mask: AttentionMask,
    pub(super) scoring: Scoring,
    /// Whether there will be a backward.
    pub(super) is_tracked: bool,
    /// What forward leaves for backward.
    on_cpu: OnceLock<cpu::Saved>,
    #[cfg(any(target_vendor = "apple", soft_metal))]
    on_metal: OnceLock<metal::Saved>,
}

impl Attention {
    pub(super) fn new(
        [q, k, v]: [&Tensor; 3],
        mask: &AttentionMask,
        scores: AttentionScores,
    ) -> Result<Self> {
        let (batch, heads, queries, width) = q.dims4()?;
        let (_, kv_heads, keys, _) = k.dims4()?;
        Ok(Self {
            sizes: Sizes {
                batch,
                heads,
                kv_heads,
                queries,
                keys,
                width,
            },
            mask: mask.clone(),
            scoring: scores.into(),
            is_tracked: [q, k, v].into_iter().any(Tensor::track_op),
            on_cpu: OnceLock::new(),
            #[cfg(any(target_vendor = "apple", soft_metal))]
            on_metal: OnceLock::new(),
        })
    }
}

/// What forward saved.
fn saved<S>(saved: &OnceLock<S>) -> Result<&S> {
    match saved.get() {
        Some(saved) => Ok(saved),
        None => candle_core::bail!("attention: backward before forward"),
    }
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        k: &CpuStorage,
        k_layout: &Layout,
        v: &CpuStorage,
        v_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let inputs = [(q, q_layout), (k, k_layout), (v, v_layout)];
        let (y, saved) = cpu::forward(self, inputs)?;
        // A second run of the same operation would write the same numbers.
        let _ = self.on_cpu.set(saved);
        Ok((y, q_layout.shape().clone()))
    }

    #[cfg(any(target_vendor = "apple", soft_metal))]
    fn metal_fwd(
        &self,
        q: &candle_core::MetalStorage,
        q_layout: &Layout,
        k: &candle_core::MetalStorage,
        k_layout: &Layout,
        v: &candle_core::MetalStorage,
        v_layout: &Layout,
    ) -> Result<(candle_core::MetalStorage, Shape)> {
        let inputs = [(q, q_layout), (k, k_layout), (v, v_layout)];
        let (y, saved) = metal::forward(self, inputs)?;
        let _ = self.on_metal.set(saved);
        Ok((y, q_layout.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let tensors = [q, k, v, y, dy];
        let [dq, dk, dv] = by_device!(
            dy,
            cpu: cpu::backward(self, saved(&self.on_cpu)?, tensors)?,
            metal: metal::backward(self, saved(&self.on_metal)?, tensors)?
        );
        Ok((dq, dk, dv))
    }
}
