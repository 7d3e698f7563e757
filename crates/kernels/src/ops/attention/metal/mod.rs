//! Attention on an Apple GPU: tiles as in FlashAttention-2 (Dao 2023, <https://arxiv.org/abs/2307.08691>).

mod backward;
mod forward;
mod inputs;

use super::Attention;
use crate::Result;
use crate::graph::{Function, Gradients, Trace, Value};
use crate::metal::{SIMD, Source};
use candle_core::Tensor;
use forward::Saved;

pub(super) struct Metal;

impl Function<Attention, 3> for Metal {
    type Saved = Saved;

    fn forward(op: &Attention, inputs: [&Tensor; 3]) -> Result<(Value, Saved)> {
        Ok(forward::forward(op, inputs)?)
    }

    fn backward(op: &Attention, saved: &Saved, trace: Trace<'_, 3>) -> Result<Gradients<3>> {
        let Trace { inputs, y, dy } = trace;
        Ok(backward::backward(op, saved, inputs, [y, dy])?)
    }
}

const SOURCE: Source = Source {
    name: "attention",
    text: concat!(
        include_str!("../../softcap/softcap.metal"),
        include_str!("tiles.metal"),
        include_str!("forward.metal"),
        include_str!("decode.metal"),
        include_str!("backward.metal"),
    ),
};

/// Rows of a threadgroup, and tokens that they meet at a time, as in `tiles.metal`.
const TILE: usize = 32;

/// A SIMD group for eight rows.
const THREADS: [usize; 3] = [TILE / 8 * SIMD, 1, 1];
