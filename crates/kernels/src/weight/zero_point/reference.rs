//! The definition: the rows, with their columns where the matrix has them.

use super::{Packed, ZeroPoint};
use crate::Result;
use candle_core::Tensor;

/// The matrix in float32, on its device.
pub(super) fn dense(packed: &ZeroPoint) -> Result<Tensor> {
    let rows = packed.rows.dense()?;
    let Some(order) = &packed.order else {
        return Ok(rows);
    };
    let places = Tensor::new(&order.places[..], rows.device())?;
    Ok(rows.index_select(&places, 1)?)
}
