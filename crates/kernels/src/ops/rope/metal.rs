//! A thread for every pair.

use super::per_head;
use crate::metal::{Launch, Output, Rows, Source};
use candle_core::backend::BackendStorage;
use candle_core::{Layout, MetalStorage, Result, Tensor};

const SOURCE: Source = Source {
    name: "rope",
    text: include_str!("rope.metal"),
};

/// `x` turned by the angles of the tables, or back where `sign` is -1.
pub(super) fn turned(
    x: &MetalStorage,
    layout: &Layout,
    [cos, sin]: [&Tensor; 2],
    sign: f32,
) -> Result<MetalStorage> {
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
        .over_elements(rows.count, rows.width / 2)?;
    Ok(y.into_storage())
}
