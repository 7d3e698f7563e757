//! A thread for a few fours of pairs, and for four elements that are no part of one.

use super::{Rope, RopePairs, per_head};
use crate::Result;
use crate::graph::{Function, Gradients, Trace, Value};
use crate::metal::{FOUR, FOURS_A_THREAD, Launch, Output, Rows, Source, device_of};
use candle_core::{D, Tensor};

const SOURCE: Source = Source {
    name: "rope",
    text: concat!(
        include_str!("../../metal/fours.metal"),
        include_str!("rope.metal")
    ),
};

/// `Pairs` of `rope.metal`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Pairs {
    count: u32,
    interleaved: u32,
}

impl Pairs {
    fn new(rope: &Rope) -> Result<Self> {
        let count = u32::try_from(rope.cos.dim(D::Minus1)?).map_err(candle_core::Error::wrap)?;
        let interleaved = (rope.pairs == RopePairs::Interleaved).into();
        Ok(Self { count, interleaved })
    }

    /// Threads of a row: those of fours of pairs, then those of fours of what is left.
    fn fours(self, width: usize) -> usize {
        let pairs = self.count as usize;
        pairs.div_ceil(FOUR * FOURS_A_THREAD) + (width - 2 * pairs).div_ceil(FOUR)
    }
}

pub(super) struct Metal;

impl Function<Rope, 1> for Metal {
    type Saved = ();

    fn forward(op: &Rope, [x]: [&Tensor; 1]) -> Result<(Value, ())> {
        Ok((rotated(op, x, 1.0)?, ()))
    }

    fn backward(op: &Rope, (): &(), trace: Trace<'_, 1>) -> Result<Gradients<1>> {
        let Trace { dy, .. } = trace;
        Ok([Some(rotated(op, dy, -1.0)?.into_tensor())])
    }
}

/// `x` rotated by the angles of the tables, or back where `sign` is -1.
fn rotated(rope: &Rope, x: &Tensor, sign: f32) -> Result<Value> {
    let (device, pairs) = (device_of(x)?, Pairs::new(rope)?);
    let types = [("T", x.dtype()), ("C", rope.cos.dtype())];
    let [cos, sin] = tables(rope)?;
    let (cos, sin) = (per_head(&cos, x)?, per_head(&sin, x)?);
    let (x_storage, x_layout) = x.storage_and_layout();
    let (cos_storage, cos_layout) = cos.storage_and_layout();
    let (sin_storage, sin_layout) = sin.storage_and_layout();
    let rows = Rows::of(&x_storage, x_layout)?;
    let cos = Rows::of(&cos_storage, cos_layout)?;
    let sin = Rows::of(&sin_storage, sin_layout)?;
    let kernel = Rows::choose(&[&rows, &cos, &sin], ["rope", "rope_fours"]);
    let y = Output::new(device, x.elem_count(), x.dtype())?;
    Launch::new(device, &SOURCE, &types, kernel)?
        .rows(&rows)
        .rows(&cos)
        .more_rows(&sin)
        .output(&y)
        .int(rows.width)?
        .float(sign)
        .constants(&pairs)
        .over_elements(rows.count, pairs.fours(rows.width))?;
    Ok(y.into_value(x.shape()))
}

/// The tables in one dtype and one layout. Tables that differ do not come from one model.
fn tables(rope: &Rope) -> Result<[Tensor; 2]> {
    let (cos, sin) = (&rope.cos, rope.sin.to_dtype(rope.cos.dtype())?);
    if cos.stride() == sin.stride() {
        return Ok([cos.clone(), sin]);
    }
    Ok([cos.contiguous()?, sin.contiguous()?])
}
