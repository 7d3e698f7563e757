//! Numbers with zero points as kernels on Apple GPUs read them: those of the affine format.

use super::{Packed, ZeroPoint};
use crate::weight::Msl;

/// The packed matrix as it lies. Rows in another order of columns come behind that order.
pub(super) fn msl(packed: &ZeroPoint) -> Option<Msl<'_>> {
    let rows = packed.rows.msl()?;
    let Some(order) = &packed.order else {
        return Some(rows);
    };
    let text = concat!(
        include_str!("../affine/affine.metal"),
        include_str!("ordered.metal"),
    );
    let ([_, scales, biases], [group, ..]) = (rows.parts, rows.options);
    Some(Msl {
        name: "affine in order of groups",
        text,
        parts: [&packed.stored, scales, biases],
        options: [group, order.columns.len() as u32, 0, 0],
        ..rows
    })
}
