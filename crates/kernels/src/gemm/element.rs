//! Storage dtypes, widened to float32 one element or one row at a time.

use super::transpose::BLOCK;
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

pub(super) trait Element: Copy + Send + Sync {
    fn widen(self) -> f32;

    /// Widens as many elements as the widest vectors have lanes.
    #[inline(always)]
    fn widen_block(from: &[Self; BLOCK]) -> [f32; BLOCK] {
        let mut to = [0.0; BLOCK];
        for (to, from) in to.iter_mut().zip(from) {
            *to = from.widen();
        }
        to
    }

    /// Widens elements that lie side by side.
    #[inline(always)]
    fn widen_all(from: &[Self], to: &mut [f32]) {
        let (blocks, rest) = from.as_chunks();
        let (to_blocks, to_rest) = to[..from.len()].as_chunks_mut();
        for (to, from) in to_blocks.iter_mut().zip(blocks) {
            *to = Self::widen_block(from);
        }
        for (to, from) in to_rest.iter_mut().zip(rest) {
            *to = from.widen();
        }
    }
}

impl Element for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }

    #[inline(always)]
    fn widen_block(from: &[Self; BLOCK]) -> [f32; BLOCK] {
        *from
    }
}

impl Element for bf16 {
    /// The upper half of a float32, a NaN included.
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
}

impl Element for f16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self.to_f32()
    }

    /// By the processor's conversion, where it has one.
    #[inline(always)]
    fn widen_block(from: &[Self; BLOCK]) -> [f32; BLOCK] {
        let mut to = [0.0; BLOCK];
        from.convert_to_f32_slice(&mut to);
        to
    }
}
