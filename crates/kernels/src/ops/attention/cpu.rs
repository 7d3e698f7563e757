//! Attention on the CPU.

use super::Attention;
use super::backward::{self, Forward};
use super::decode::decode;
use super::forward;
use super::heads::Heads;
use super::visible::Visible;
use crate::Result;
use crate::graph::{Function, Gradients, Trace, Value};
use crate::host::online::Statistics;
use crate::host::tensor_like;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, DType, Layout, Result as CandleResult, Shape, Tensor};

/// Values that forward leaves for backward.
pub(super) struct Saved {
    visible: Visible,
    /// Statistics of each row `(B, H, Tq)`.
    statistics: Vec<Statistics>,
    /// The result before it was rounded to a narrower dtype: gradients of scores are differences
    /// that would show the rounding.
    y: Option<CpuStorage>,
}

pub(super) struct Cpu;

impl Function<Attention, 3> for Cpu {
    type Saved = Saved;

    fn forward(op: &Attention, inputs: [&Tensor; 3]) -> Result<(Value, Saved)> {
        let [(q, q_layout), (k, k_layout), (v, v_layout)] = inputs.map(Tensor::storage_and_layout);
        let heads = [
            &Heads::of(&q, q_layout)?,
            &Heads::of(&k, k_layout)?,
            &Heads::of(&v, v_layout)?,
        ];
        let visible = Visible::new(&op.mask, op.sizes.queries, op.sizes.keys)?;
        let compute = if op.sizes.queries == 1 {
            decode
        } else {
            forward::forward
        };
        let (y, statistics) = compute(op.sizes, &visible, op.scoring, heads);
        let (y, wide) = rounded(y, q_layout.shape(), inputs[0].dtype())?;
        let saved = Saved {
            visible,
            statistics,
            y: wide.filter(|_| inputs.iter().any(|input| input.track_op())),
        };
        Ok((Value::cpu(y, q_layout.shape()), saved))
    }

    fn backward(op: &Attention, saved: &Saved, trace: Trace<'_, 3>) -> Result<Gradients<3>> {
        let Trace {
            inputs: [q, k, v],
            y,
            dy,
        } = trace;
        let stored = [q, k, v, y, dy].map(Tensor::storage_and_layout);
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
        let tensor = |values: Option<Vec<f32>>, like| -> CandleResult<_> {
            values.map(|values| tensor_like(values, like)).transpose()
        };
        Ok([tensor(dq, q)?, tensor(dk, k)?, tensor(dv, v)?])
    }
}

/// `y` in `dtype`, and as it was where that is narrower.
fn rounded(
    y: Vec<f32>,
    shape: &Shape,
    dtype: DType,
) -> CandleResult<(CpuStorage, Option<CpuStorage>)> {
    let wide = CpuStorage::F32(y);
    match dtype {
        DType::F32 => Ok((wide, None)),
        _ => {
            let y = wide.to_dtype(&Layout::contiguous(shape), dtype)?;
            Ok((y, Some(wide)))
        }
    }
}
