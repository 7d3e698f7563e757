//! Codes of a word, decoded a register at a time.

use crate::weight::codes::First;
use metal_candle_cpu::vector::table::lookup;
use pulp::Simd;

/// `2^23`: its last digit is one.
const UNIT: f32 = 8_388_608.0;

/// Codes of which a word has `PER_WORD`.
pub(in crate::weight) trait Codes<const PER_WORD: usize>:
    Copy + Send + Sync
{
    /// The numbers that the codes at place `code` of all words stand for, without their factors. It must be
    /// `#[inline(always)]`.
    fn decode<S: Simd>(self, simd: S, words: S::u32s, code: usize) -> S::f32s;

    /// Which number of a word the code at a place, counted from the lowest bits, is.
    fn number(self, code: usize) -> usize {
        code
    }
}

/// Codes of four bits by a table.
#[derive(Clone, Copy, Debug)]
pub(in crate::weight) struct Sixteen {
    /// Values of the codes.
    pub(in crate::weight) values: [f32; 16],
    /// Half of a byte that comes first.
    pub(in crate::weight) first: First,
}

impl Codes<8> for Sixteen {
    #[inline(always)]
    fn decode<S: Simd>(self, simd: S, words: S::u32s, code: usize) -> S::f32s {
        lookup(simd, &self.values, shifted(simd, words, 4 * code))
    }

    fn number(self, code: usize) -> usize {
        match self.first {
            First::Low => code,
            First::High => code ^ 1,
        }
    }
}

/// Floats of 8 bits. Their exponent and fraction are those of a float32 that is `2^120` times too small.
#[derive(Clone, Copy, Debug)]
pub(in crate::weight) struct E4M3;

impl Codes<4> for E4M3 {
    #[inline(always)]
    fn decode<S: Simd>(self, simd: S, words: S::u32s, code: usize) -> S::f32s {
        let top = match 24 - 8 * code {
            0 => words,
            shift => simd.wrapping_dyn_shl_u32s(words, simd.splat_u32s(shift as u32)),
        };
        let sign = simd.and_u32s(top, simd.splat_u32s(1 << 31));
        let magnitude = simd.and_u32s(shifted(simd, top, 4), simd.splat_u32s(0x7f << 20));
        let small = simd.transmute_f32s_u32s(simd.or_u32s(sign, magnitude));
        simd.mul_f32s(small, simd.splat_f32s(f32::from_bits((120 + 127) << 23)))
    }
}

/// Signed numbers of 8 bits: 128 more, in the fraction of `2^23`, are floats without a conversion.
#[derive(Clone, Copy, Debug)]
pub(in crate::weight) struct Signed;

impl Codes<4> for Signed {
    #[inline(always)]
    fn decode<S: Simd>(self, simd: S, words: S::u32s, code: usize) -> S::f32s {
        let byte = simd.and_u32s(shifted(simd, words, 8 * code), simd.splat_u32s(0xff));
        let more = simd.xor_u32s(byte, simd.splat_u32s(UNIT.to_bits() | 0x80));
        simd.sub_f32s(
            simd.transmute_f32s_u32s(more),
            simd.splat_f32s(UNIT + 128.0),
        )
    }
}

#[inline(always)]
fn shifted<S: Simd>(simd: S, words: S::u32s, bits: usize) -> S::u32s {
    match bits {
        0 => words,
        bits => simd.wrapping_dyn_shr_u32s(words, simd.splat_u32s(bits as u32)),
    }
}
