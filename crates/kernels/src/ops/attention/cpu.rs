//! The node of the graph; the loops are in `blocks.rs`.

use super::AttentionMask;
use super::blocks::{Inputs, Sizes, Statistics};
use super::heads::Heads;
use super::visible::Visible;
use crate::host::{stored, tensor_like};
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use std::sync::OnceLock;

pub(super) struct Attention {
    pub(super) sizes: Sizes,
    pub(super) visible: Visible,
    pub(super) scale: f32,
    /// Of each row `(B, H, Tq)`, written by forward.
    statistics: OnceLock<Vec<Statistics>>,
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
            statistics: OnceLock::new(),
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
        let inputs = Inputs {
            op: self,
            q: Heads::new(q, q_layout)?,
            k: Heads::new(k, k_layout)?,
            v: Heads::new(v, v_layout)?,
        };
        let shape = q_layout.shape().clone();
        let (y, statistics) = inputs.forward(shape.elem_count());
        // A second run of the same operation would write the same numbers.
        let _ = self.statistics.set(statistics);
        Ok((stored(y, &shape, q.dtype())?, shape))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Some(statistics) = self.statistics.get() else {
            candle_core::bail!("attention: backward before forward");
        };
        let (q_storage, q_layout) = q.storage_and_layout();
        let (k_storage, k_layout) = k.storage_and_layout();
        let (v_storage, v_layout) = v.storage_and_layout();
        let (dy_storage, dy_layout) = dy.storage_and_layout();
        let inputs = Inputs {
            op: self,
            q: Heads::of(&q_storage, q_layout)?,
            k: Heads::of(&k_storage, k_layout)?,
            v: Heads::of(&v_storage, v_layout)?,
        };
        let dy = Heads::of(&dy_storage, dy_layout)?;
        let tracked = [q, k, v].map(Tensor::track_op);
        let [dq, dk, dv] = inputs.backward(&dy, statistics, tracked);
        let tensor = |values: Option<Vec<f32>>, like| {
            let tensor = values.map(|values| tensor_like(values, like));
            tensor.transpose()
        };
        Ok((tensor(dq, q)?, tensor(dk, k)?, tensor(dv, v)?))
    }
}
