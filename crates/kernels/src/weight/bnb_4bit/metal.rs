//! Blocks of numbers of 4 bits as kernels on Apple GPUs read them.

use super::Bnb4bit;
use crate::weight::Msl;

/// Numbers that are unpacked at once, `RUN` of `metal/matrix.metal`, which have one magnitude.
const RUN: usize = 8;

/// The packed matrix as it lies, where sizes of blocks are powers of two, as bitsandbytes has them.
pub(super) fn msl(packed: &Bnb4bit) -> Option<Msl<'_>> {
    let nested = packed
        .parts
        .nested
        .as_ref()
        .map_or(1, |nested| nested.block);
    let are_powers = packed.block.is_power_of_two() && nested.is_power_of_two();
    let parts = [&packed.parts.bytes, &packed.parts.absmax, &packed.floats];
    let msl = Msl {
        options: [packed.block.ilog2(), nested.ilog2(), 0, 0],
        ..Msl::new("bnb_4bit", include_str!("bnb_4bit.metal"), parts)
    };
    (are_powers && packed.block >= RUN).then_some(msl)
}
