//! A thread for every pair, and for every element that is no part of one.

use super::{Rope, RopePairs, per_head};
use crate::metal::{Launch, Output, Rows, Source};
use candle_core::backend::BackendStorage;
use candle_core::{D, Layout, MetalStorage, Result};

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

/// `x` turned by the angles of the tables, or back where `sign` is -1.
pub(super) fn turned(
    x: &MetalStorage,
    layout: &Layout,
    rope: &Rope,
    sign: f32,
) -> Result<MetalStorage> {
    let (cos, sin, pairs) = (&rope.cos, &rope.sin, Pairs::new(rope)?);
    let types = [("T", x.dtype()), ("C", cos.dtype())];
    // Tables of two dtypes do not come from one model.
    let (cos, sin) = (
        per_head(cos, layout)?,
        per_head(&sin.to_dtype(cos.dtype())?, layout)?,
    );
    let (cos_storage, cos_layout) = cos.storage_and_layout();
    let (sin_storage, sin_layout) = sin.storage_and_layout();
    let rows = Rows::new(x, layout)?;
    let y = Output::new(x.device(), layout.shape().elem_count(), x.dtype())?;
    Launch::new(x.device(), &SOURCE, &types, "rope")?
        .rows(&rows)
        .rows(&Rows::of(&cos_storage, cos_layout)?)
        .rows(&Rows::of(&sin_storage, sin_layout)?)
        .output(&y)
        .float(sign)
        .constants(&pairs)
        .over_elements(rows.count, rows.width - pairs.count as usize)?;
    Ok(y.into_storage())
}
