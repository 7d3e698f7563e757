//! Codes of a run, and what they count.

use super::super::blocks::{Block, MOST_PARTS, RUN, SUPER, bytes};
use metal_candle_cpu::vector::widen;
use pulp::{Simd, bytemuck};

/// Parts of a block at most.
const PARTS: usize = MOST_PARTS * SUPER / RUN;

/// Scales and offsets of the parts of a block's runs.
pub(super) struct Scales {
    scales: [f32; PARTS],
    offsets: [f32; PARTS],
}

impl Scales {
    /// Scales of the parts of a block.
    #[inline(always)]
    pub(super) fn of<S: Simd, B: Block>(simd: S, block: &[u8]) -> Self {
        let mut factors = [0.0; 2];
        for (factor, &at) in factors.iter_mut().zip(B::FACTORS) {
            *factor = widen::half(simd, u16::from_le_bytes(*bytes(block, at)));
        }
        let (mut scales, mut offsets) = ([0.0; PARTS], [-0.0; PARTS]);
        let n_parts = B::NUMBERS / RUN * B::PARTS;
        B::scales(
            block,
            factors,
            &mut scales[..n_parts],
            &mut offsets[..n_parts],
        );
        Self { scales, offsets }
    }

    /// Scale and offset of a part.
    #[inline(always)]
    pub(super) fn part(&self, part: usize) -> (f32, f32) {
        (self.scales[part], self.offsets[part])
    }
}

/// The codes of a run.
#[inline(always)]
pub(super) fn codes<S: Simd, B: Block>(simd: S, block: &[u8], run: usize) -> [f32; RUN] {
    let mut words = B::codes(block, run);
    for word in &mut words {
        *word = word.to_le();
    }
    widen::bytes(simd, &bytemuck::cast(words), B::ZERO)
}

/// The numbers of a run.
#[inline(always)]
pub(super) fn numbers<S: Simd, B: Block>(
    simd: S,
    block: &[u8],
    scales: &Scales,
    run: usize,
) -> [f32; RUN] {
    let mut numbers = codes::<S, B>(simd, block, run);
    for part in 0..B::PARTS {
        let (scale, offset) = scales.part(run * B::PARTS + part);
        for number in &mut numbers[part * RUN / B::PARTS..(part + 1) * RUN / B::PARTS] {
            *number = scale * *number + offset;
        }
    }
    numbers
}
