//! Dropout by the factors of `random.rs`, drawn where they are needed.

use super::{Launch, Output, Rows, Source};
use crate::Dropout;
use candle_core::backend::BackendStorage;
use candle_core::{Layout, MetalStorage, Result};

const SOURCE: Source = Source {
    name: "dropout",
    text: include_str!("dropout.metal"),
};

/// Every element of `x` times its factor; the result is contiguous.
pub(crate) fn dropped(dropout: Dropout, x: &MetalStorage, layout: &Layout) -> Result<MetalStorage> {
    let (device, rows) = (x.device(), Rows::new(x, layout)?);
    let y = Output::new(device, layout.shape().elem_count(), x.dtype())?;
    let (mixed_seed, limit, kept) = dropout.as_integers();
    Launch::new(device, &SOURCE, &[("T", x.dtype())], "dropout")?
        .rows(&rows)
        .output(&y)
        .long(mixed_seed)
        .long(limit)
        .float(kept)
        .over_elements(rows.count, rows.width)?;
    Ok(y.into_storage())
}
