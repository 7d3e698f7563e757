//! Affine weights as kernels on Apple GPUs read them.

use super::Affine;
use crate::weight::Msl;

/// The packed matrix as it lies.
pub(super) fn msl(packed: &Affine) -> Msl<'_> {
    let text = include_str!("affine.metal");
    Msl {
        number: Some(("BITS", packed.bits as u32)),
        options: [packed.group.ilog2(), 0, 0, 0],
        ..Msl::new(
            "affine",
            text,
            [&packed.words, &packed.scales, &packed.biases],
        )
    }
}
