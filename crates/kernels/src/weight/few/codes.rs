//! Codes of a word, decoded a register of words at a time.

use crate::weight::codes::First;
use metal_candle_cpu::vector::table;
use pulp::Simd;

/// `2^23`: its last digit is one.
const UNIT: f32 = 8_388_608.0;

/// Codes of which a word has `PER_WORD`.
pub(in crate::weight) trait Codes<const PER_WORD: usize>:
    Copy + Send + Sync
{
    /// The numbers that all codes of a register of words stand for, without their factors. It must be `#[inline(always)]`.
    fn decode<S: Simd>(&self, simd: S, words: S::u32s) -> [S::f32s; PER_WORD];

    /// Word of those that were decoded, and number of it, in a lane of one of the registers. Halves of the registers have all
    /// words, or every second pair of them.
    fn place<S: Simd>(&self, register: usize, lane: usize) -> (usize, usize) {
        (lane, register)
    }
}

/// Codes of four bits by a table. `BF16`: its values are.
#[derive(Clone, Copy, Debug)]
pub(in crate::weight) struct Sixteen<const BF16: bool> {
    /// Values of the codes.
    pub(in crate::weight) table: table::Sixteen,
    /// Half of a byte that comes first.
    pub(in crate::weight) first: First,
}

impl<const BF16: bool> Codes<{ table::CODES }> for Sixteen<BF16> {
    #[inline(always)]
    fn decode<S: Simd>(&self, simd: S, words: S::u32s) -> [S::f32s; table::CODES] {
        table::lookup::<BF16, S>(simd, &self.table, words)
    }

    fn place<S: Simd>(&self, register: usize, lane: usize) -> (usize, usize) {
        let (word, code) = table::place::<BF16, S>(register, lane);
        match self.first {
            First::Low => (word, code),
            First::High => (word, code ^ 1),
        }
    }
}

/// Floats of 8 bits. Their exponent and fraction are those of a float32 that is `2^120` times too small.
#[derive(Clone, Copy, Debug)]
pub(in crate::weight) struct E4M3;

impl Codes<4> for E4M3 {
    #[inline(always)]
    fn decode<S: Simd>(&self, simd: S, words: S::u32s) -> [S::f32s; 4] {
        let mut numbers = [simd.splat_f32s(0.0); 4];
        for (code, number) in numbers.iter_mut().enumerate() {
            let top = match 24 - 8 * code {
                0 => words,
                shift => simd.wrapping_dyn_shl_u32s(words, simd.splat_u32s(shift as u32)),
            };
            let sign = simd.and_u32s(top, simd.splat_u32s(1 << 31));
            let magnitude = simd.and_u32s(shifted(simd, top, 4), simd.splat_u32s(0x7f << 20));
            let small = simd.transmute_f32s_u32s(simd.or_u32s(sign, magnitude));
            *number = simd.mul_f32s(small, simd.splat_f32s(f32::from_bits((120 + 127) << 23)));
        }
        numbers
    }
}

/// Signed numbers of 8 bits: 128 more, in the fraction of `2^23`, are floats without a conversion.
#[derive(Clone, Copy, Debug)]
pub(in crate::weight) struct Signed;

impl Codes<4> for Signed {
    #[inline(always)]
    fn decode<S: Simd>(&self, simd: S, words: S::u32s) -> [S::f32s; 4] {
        let mut numbers = [simd.splat_f32s(0.0); 4];
        for (code, number) in numbers.iter_mut().enumerate() {
            let byte = simd.and_u32s(shifted(simd, words, 8 * code), simd.splat_u32s(0xff));
            let more = simd.xor_u32s(byte, simd.splat_u32s(UNIT.to_bits() | 0x80));
            let more = simd.transmute_f32s_u32s(more);
            *number = simd.sub_f32s(more, simd.splat_f32s(UNIT + 128.0));
        }
        numbers
    }
}

#[inline(always)]
fn shifted<S: Simd>(simd: S, words: S::u32s, bits: usize) -> S::u32s {
    match bits {
        0 => words,
        bits => simd.wrapping_dyn_shr_u32s(words, simd.splat_u32s(bits as u32)),
    }
}
