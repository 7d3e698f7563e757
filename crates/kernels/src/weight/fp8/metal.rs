//! Blocks of e4m3 as kernels on Apple GPUs read them.

use super::{Fp8, Packed};
use crate::weight::Msl;

/// The packed matrix as it lies.
pub(super) fn msl(packed: &Fp8) -> Msl<'_> {
    let text = concat!(
        include_str!("../bytes.metal"),
        include_str!("../floats.metal"),
        include_str!("fp8.metal"),
    );
    let ((n, k), (rows, columns)) = (packed.dims(), packed.block);
    let n_blocks = k.div_ceil(columns);
    // No larger than the matrix, whose sizes are numbers of 32 bits to kernels.
    let options = [rows.min(n.max(1)), columns.min(k.max(1)), n_blocks, 0];
    Msl {
        options: options.map(|option| option as u32),
        ..Msl::new("fp8", text, [&packed.bytes, &packed.scales, &packed.scales])
    }
}
