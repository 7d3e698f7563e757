//! Attention on the CPU: spans of queries against pieces of keys, whatever these are made of.

mod backward;
mod blocks;
mod cut;
mod decode;
mod forward;
mod heads;
mod inputs;
mod panels;
mod spans;
mod strip;
mod tile;
mod vectorized;

use super::Attention;
use super::cached::{CachedSequence, Rule};
use super::sizes::Sizes;
use crate::Result;
use crate::graph::{Function, Gradients, Trace, Value};
use crate::host::online::Statistics;
use crate::host::{tensor, tensor_like};
use backward::{Forward, backward};
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, DType, Layout, Result as CandleResult, Shape, Tensor};
use forward::forward;
use heads::Heads;
use inputs::Inputs;
use spans::Spans;

/// Values that forward leaves for backward.
pub(super) struct Saved {
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
        let stored = inputs.map(Tensor::storage_and_layout);
        let [q, k, v] = [0, 1, 2].map(|i| Heads::of(&stored[i].0, stored[i].1));
        let results = forward(&inputs_of(op, [q?, k?, v?])?);
        let shape = inputs[0].shape();
        let (y, wide) = rounded(results.y, shape, inputs[0].dtype())?;
        let saved = Saved {
            statistics: results.statistics,
            y: wide.filter(|_| inputs.iter().any(|input| input.track_op())),
        };
        Ok((Value::cpu(y, shape), saved))
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
            inputs: inputs_of(op, [heads(0)?, heads(1)?, heads(2)?])?,
            keys: op.keys,
            y: match &saved.y {
                Some(y) => Heads::new(y, &Layout::contiguous(q.shape()))?,
                None => heads(3)?,
            },
            statistics: &saved.statistics,
            dy: heads(4)?,
        };
        let [dq, dk, dv] = backward(&forward, [q, k, v].map(Tensor::track_op));
        let tensor = |values: Option<Vec<f32>>, like| -> CandleResult<_> {
            values.map(|values| tensor_like(values, like)).transpose()
        };
        Ok([tensor(dq, q)?, tensor(dk, k)?, tensor(dv, v)?])
    }
}

fn inputs_of<'a>(op: &Attention, [q, k, v]: [Heads<'a>; 3]) -> CandleResult<Inputs<'a>> {
    Ok(Inputs {
        sizes: op.sizes,
        scoring: op.scoring,
        spans: Spans::of_mask(&op.mask, op.sizes.batch, [op.sizes.queries, op.keys]),
        q,
        sources: vec![[k, v]],
        sinks: numbers(op.sinks.as_ref())?,
    })
}

/// One number a head, or none.
fn numbers(sinks: Option<&Tensor>) -> CandleResult<Vec<f32>> {
    sinks.map_or(Ok(vec![]), Tensor::to_vec1)
}

/// Attention of sequences, each of whose pieces is read where it lies.
pub(super) fn cached(
    q: &Tensor,
    sequences: &[CachedSequence],
    (window, scores): Rule<'_>,
) -> Result<Tensor> {
    let (batch, heads, queries, width) = q.dims4()?;
    let pieces = sequences.iter().flat_map(|sequence| &sequence.pieces);
    let stored = pieces.map(|piece| piece.each_ref().map(Tensor::storage_and_layout));
    let stored: Vec<_> = stored.collect();
    let sources = stored.iter().map(|[k, v]| {
        let [k, v] = [k, v].map(|(storage, layout)| Heads::of(storage, layout));
        Ok([k?, v?])
    });
    let sources = sources.collect::<CandleResult<Vec<_>>>()?;
    let (storage, layout) = q.storage_and_layout();
    let inputs = Inputs {
        sizes: Sizes {
            batch,
            heads,
            kv_heads: sources.first().map_or(heads, |[k, _]| k.count()),
            queries,
            width,
        },
        scoring: scores.into(),
        spans: Spans::of_sequences(sequences, window)?,
        q: Heads::of(&storage, layout)?,
        sources,
        sinks: numbers(scores.sinks)?,
    };
    let (y, _) = rounded(forward(&inputs).y, q.shape(), q.dtype())?;
    Ok(tensor(y, q.shape()))
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
