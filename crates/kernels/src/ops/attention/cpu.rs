//! On the CPU.

use super::backward::{self, Forward};
use super::decode::decode;
use super::forward;
use super::heads::Heads;
use super::node::Attention;
use super::visible::Visible;
use crate::host::tensor_like;
use crate::online::Statistics;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, DType, Layout, Result, Tensor};

/// What forward leaves for backward.
pub(super) struct Saved {
    visible: Visible,
    /// Of each row `(B, H, Tq)`.
    statistics: Vec<Statistics>,
    /// The result before it was rounded to a narrower dtype: gradients of scores are differences
    /// that would show the rounding.
    y: Option<CpuStorage>,
}

pub(super) fn forward(
    op: &Attention,
    [q, k, v]: [(&CpuStorage, &Layout); 3],
) -> Result<(CpuStorage, Saved)> {
    let heads = |(storage, layout): (_, _)| Heads::new(storage, layout);
    let inputs = [&heads(q)?, &heads(k)?, &heads(v)?];
    let visible = Visible::new(&op.mask, op.sizes.queries, op.sizes.keys)?;
    let compute = if op.sizes.queries == 1 {
        decode
    } else {
        forward::forward
    };
    let (y, statistics) = compute(op.sizes, &visible, op.scoring, inputs);
    let (storage, layout) = q;
    let (y, wide) = match storage.dtype() {
        DType::F32 => (CpuStorage::F32(y), None),
        dtype => {
            let wide = CpuStorage::F32(y);
            let y = wide.to_dtype(&Layout::contiguous(layout.shape()), dtype)?;
            (y, Some(wide))
        }
    };
    let saved = Saved {
        visible,
        statistics,
        y: wide.filter(|_| op.is_tracked),
    };
    Ok((y, saved))
}

/// The gradients of `q`, `k` and `v`, those of them that are tracked; from these, `y` and `dy`.
pub(super) fn backward(
    op: &Attention,
    saved: &Saved,
    tensors: [&Tensor; 5],
) -> Result<[Option<Tensor>; 3]> {
    let [q, k, v, ..] = tensors;
    let stored = tensors.map(Tensor::storage_and_layout);
    let heads = |i: usize| Heads::of(&stored[i].0, stored[i].1);
    let forward = Forward {
        sizes: op.sizes,
        visible: &saved.visible,
        scoring: op.scoring,
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
    let [dq, dk, dv] = backward::backward(&forward, [q, k, v].map(Tensor::track_op));
    let tensor = |values: Option<Vec<f32>>, like| {
        let tensor = values.map(|values| tensor_like(values, like));
        tensor.transpose()
    };
    Ok([tensor(dq, q)?, tensor(dk, k)?, tensor(dv, v)?])
}
