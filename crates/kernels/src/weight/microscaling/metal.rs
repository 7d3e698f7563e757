//! Small floats as kernels on Apple GPUs read them: one file for each kind.

use super::{Kind, Microscaled};
use crate::weight::Msl;

/// Text of a kind, and of what else it needs.
macro_rules! text {
    ($name:literal) => {
        concat!(
            include_str!("../bytes.metal"),
            include_str!("../floats.metal"),
            include_str!(concat!($name, ".metal")),
        )
    };
}

/// The packed matrix as it lies.
pub(super) fn msl(packed: &Microscaled) -> Msl<'_> {
    let text = match packed.kind {
        Kind::Mxfp4 => text!("mxfp4"),
        Kind::Mxfp8 => text!("mxfp8"),
        Kind::Nvfp4 => text!("nvfp4"),
    };
    let Microscaled { words, scales, .. } = packed;
    Msl::new(packed.kind.name(), text, [words, scales, scales])
}
