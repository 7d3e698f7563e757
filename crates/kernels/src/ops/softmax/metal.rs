//! A threadgroup for every row.

use crate::metal::{Launch, Output, Rows, Source, device_of};
use candle_core::backend::BackendStorage;
use candle_core::{Layout, MetalStorage, Result, Shape, Tensor};

const SOURCE: Source = Source {
    name: "softmax",
    text: include_str!("softmax.metal"),
};

pub(super) fn forward(x: &MetalStorage, layout: &Layout) -> Result<(MetalStorage, Shape)> {
    let rows = Rows::new(x, layout)?;
    let y = Output::new(x.device(), layout.shape().elem_count(), x.dtype())?;
    Launch::new(x.device(), &SOURCE, &[("T", x.dtype())], "softmax_forward")?
        .rows(&rows)
        .output(&y)
        .int(rows.width)?
        .over_rows(rows.count, rows.width)?;
    Ok((y.into_storage(), layout.shape().clone()))
}

pub(super) fn backward(y: &Tensor, dy: &Tensor) -> Result<Tensor> {
    let device = device_of(y)?;
    let (y_storage, y_layout) = y.storage_and_layout();
    let (dy_storage, dy_layout) = dy.storage_and_layout();
    let rows = Rows::of(&y_storage, y_layout)?;
    let dx = Output::new(device, y.elem_count(), y.dtype())?;
    Launch::new(device, &SOURCE, &[("T", y.dtype())], "softmax_backward")?
        .rows(&rows)
        .rows(&Rows::of(&dy_storage, dy_layout)?)
        .output(&dx)
        .int(rows.width)?
        .over_rows(rows.count, rows.width)?;
    Ok(dx.into_tensor(y.shape()))
}
