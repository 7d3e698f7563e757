//! A thread for every pair, and for every element that is no part of one.

use super::{Rope, RopePairs, per_head};
use crate::Result;
use crate::graph::{Function, Gradients, Trace, Value};
use crate::metal::{Launch, Output, Rows, Source, device_of};
use candle_core::{D, Tensor};

const SOURCE: Source = Source {
    name: "rope",
    text: include_str!("rope.metal"),
};

/// `Pairs` of `rope.metal`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Pairs {
    count: u32,
    step: u32,
    distance: u32,
}

impl Pairs {
    fn new(rope: &Rope) -> Result<Self> {
        let count = u32::try_from(rope.cos.dim(D::Minus1)?).map_err(candle_core::Error::wrap)?;
        let (step, distance) = match rope.pairs {
            RopePairs::Halves => (1, count),
            RopePairs::Interleaved => (2, 1),
        };
        Ok(Self {
            count,
            step,
            distance,
        })
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
    // Tables of two dtypes do not come from one model.
    let sin = rope.sin.to_dtype(rope.cos.dtype())?;
    let (cos, sin) = (per_head(&rope.cos, x)?, per_head(&sin, x)?);
    let (x_storage, x_layout) = x.storage_and_layout();
    let (cos_storage, cos_layout) = cos.storage_and_layout();
    let (sin_storage, sin_layout) = sin.storage_and_layout();
    let rows = Rows::of(&x_storage, x_layout)?;
    let y = Output::new(device, x.elem_count(), x.dtype())?;
    Launch::new(device, &SOURCE, &types, "rope")?
        .rows(&rows)
        .rows(&Rows::of(&cos_storage, cos_layout)?)
        .rows(&Rows::of(&sin_storage, sin_layout)?)
        .output(&y)
        .float(sign)
        .constants(&pairs)
        .over_elements(rows.count, rows.width - pairs.count as usize)?;
    Ok(y.into_value(x.shape()))
}
