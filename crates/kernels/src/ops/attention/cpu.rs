//! The node of the graph.

use super::AttentionMask;
use super::backward::{Forward, backward};
use super::decode::decode;
use super::forward::forward;
use super::heads::Heads;
use super::online::Statistics;
use super::sizes::Sizes;
use super::visible::Visible;
use crate::host::tensor_like;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, DType, Layout, Result, Shape, Tensor};
use std::sync::OnceLock;

pub(super) struct Attention {
    sizes: Sizes,
    visible: Visible,
    scale: f32,
    saved: OnceLock<Saved>,
}

/// What forward leaves for backward.
struct Saved {
    /// Of each row `(B, H, Tq)`.
    statistics: Vec<Statistics>,
    /// The result before it was rounded to a narrower dtype: gradients of scores are differences
    /// that would show the rounding.
    y: Option<CpuStorage>,
}

impl Attention {
    pub(super) fn new(q: &Tensor, k: &Tensor, mask: &AttentionMask, scale: f64) -> Result<Self> {
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
            visible: Visible::new(mask, queries, keys)?,
            scale: scale as f32,
            saved: OnceLock::new(),
        })
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
        let q_heads = Heads::new(q, q_layout)?;
        let k = Heads::new(k, k_layout)?;
        let v = Heads::new(v, v_layout)?;
        let shape = q_layout.shape().clone();
        let inputs = [&q_heads, &k, &v];
        let compute = if self.sizes.queries == 1 {
            decode
        } else {
            forward
        };
        let (y, statistics) = compute(self.sizes, &self.visible, self.scale, inputs);
        let (y, wide) = match q.dtype() {
            DType::F32 => (CpuStorage::F32(y), None),
            dtype => {
                let wide = CpuStorage::F32(y);
                let y = wide.to_dtype(&Layout::contiguous(&shape), dtype)?;
                (y, Some(wide))
            }
        };
        // A second run of the same operation would write the same numbers.
        let _ = self.saved.set(Saved {
            statistics,
            y: wide,
        });
        Ok((y, shape))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Some(saved) = self.saved.get() else {
            candle_core::bail!("attention: backward before forward");
        };
        let stored = [q, k, v, y, dy].map(Tensor::storage_and_layout);
        let heads = |i: usize| Heads::of(&stored[i].0, stored[i].1);
        let forward = Forward {
            sizes: self.sizes,
            visible: &self.visible,
            scale: self.scale,
            q: &heads(0)?,
            k: &heads(1)?,
            v: &heads(2)?,
            y: &match &saved.y {
                Some(y) => Heads::new(y, &Layout::contiguous(q.shape()))?,
                None => heads(3)?,
            },
            statistics: &saved.statistics,
            dy: &heads(4)?,
        };
        let [dq, dk, dv] = backward(&forward, [q, k, v].map(Tensor::track_op));
        let tensor = |values: Option<Vec<f32>>, like| {
            let tensor = values.map(|values| tensor_like(values, like));
            tensor.transpose()
        };
        Ok((tensor(dq, q)?, tensor(dk, k)?, tensor(dv, v)?))
    }
}
