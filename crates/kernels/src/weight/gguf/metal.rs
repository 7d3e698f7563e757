//! Blocks as kernels on Apple GPUs read them: one file of `metal` for each type.

use super::{BlockType, Gguf};
use crate::weight::Msl;

/// Text of a type of blocks, and of what else it needs.
macro_rules! text {
    ($($name:literal)*) => {
        concat!(
            include_str!("../bytes.metal"),
            include_str!("metal/blocks.metal"),
            $(include_str!(concat!("metal/", $name, ".metal")),)*
        )
    };
}

/// The packed matrix as it lies.
pub(super) fn msl(packed: &Gguf) -> Msl<'_> {
    let text = match packed.block {
        BlockType::Q4_0 => text!("q4_0"),
        BlockType::Q4_1 => text!("q4_1"),
        BlockType::Q5_0 => text!("q5_0"),
        BlockType::Q5_1 => text!("q5_1"),
        BlockType::Q8_0 => text!("q8_0"),
        BlockType::Q2_K => text!("q2_k"),
        BlockType::Q3_K => text!("q3_k"),
        BlockType::Q4_K => text!("k_scales" "q4_k"),
        BlockType::Q5_K => text!("k_scales" "q5_k"),
        BlockType::Q6_K => text!("q6_k"),
        BlockType::IQ4_NL => text!("iq4_nl"),
    };
    Msl::new(packed.block.name(), text, [&packed.bytes; 3])
}
