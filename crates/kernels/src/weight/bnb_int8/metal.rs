//! Rows as kernels on Apple GPUs read them.

use super::BnbInt8;
use crate::weight::Msl;

/// The packed matrix as it lies.
pub(super) fn msl(packed: &BnbInt8) -> Msl<'_> {
    let text = concat!(
        include_str!("../bytes.metal"),
        include_str!("bnb_int8.metal")
    );
    Msl::new("bnb_int8", text, [&packed.bytes, &packed.scb, &packed.scb])
}
