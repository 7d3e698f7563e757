//! Registers of x86-64.

use super::{CODES, Sixteen};
use std::arch::x86_64 as arch;

/// # Safety
/// The processor must have AVX-512.
#[inline(always)]
pub(super) unsafe fn avx512(table: &Sixteen, words: arch::__m512i) -> [arch::__m512; CODES] {
    // SAFETY: the caller's; the table is as long as a register.
    unsafe {
        let table = arch::_mm512_loadu_ps(table.values.as_ptr());
        let mut values = [arch::_mm512_setzero_ps(); CODES];
        for (code, values) in (0..).zip(&mut values) {
            // The instruction takes the four lowest bits of a lane.
            let index = arch::_mm512_srlv_epi32(words, arch::_mm512_set1_epi32(4 * code));
            *values = arch::_mm512_permutexvar_ps(index, table);
        }
        values
    }
}

/// # Safety
/// The processor must have AVX2.
#[inline(always)]
pub(super) unsafe fn avx2<const BF16: bool>(
    table: &Sixteen,
    words: arch::__m256i,
) -> [arch::__m256; CODES] {
    // SAFETY: the caller's.
    unsafe {
        let four_bits = arch::_mm256_set1_epi8(15);
        let low = arch::_mm256_and_si256(words, four_bits);
        let high = arch::_mm256_and_si256(arch::_mm256_srli_epi32::<4>(words), four_bits);
        let [a, b, c, d] = of_bytes::<BF16>(table, low);
        let [e, f, g, h] = of_bytes::<BF16>(table, high);
        [a, b, e, f, c, d, g, h]
    }
}

/// Values of codes that lie in bytes. One instruction looks up a byte of all values; what follows interleaves them.
///
/// # Safety
/// The processor must have AVX2.
#[inline(always)]
unsafe fn of_bytes<const BF16: bool>(table: &Sixteen, codes: arch::__m256i) -> [arch::__m256; 4] {
    // SAFETY: the caller's.
    unsafe {
        let (second, first) = (byte_of(table, 2, codes), byte_of(table, 3, codes));
        let upper = [
            arch::_mm256_unpacklo_epi8(second, first),
            arch::_mm256_unpackhi_epi8(second, first),
        ];
        if BF16 {
            let mask = arch::_mm256_set1_epi32(i32::MIN >> 15);
            return [
                arch::_mm256_castsi256_ps(arch::_mm256_slli_epi32::<16>(upper[0])),
                arch::_mm256_castsi256_ps(arch::_mm256_and_si256(upper[0], mask)),
                arch::_mm256_castsi256_ps(arch::_mm256_slli_epi32::<16>(upper[1])),
                arch::_mm256_castsi256_ps(arch::_mm256_and_si256(upper[1], mask)),
            ];
        }
        let (fourth, third) = (byte_of(table, 0, codes), byte_of(table, 1, codes));
        let lower = [
            arch::_mm256_unpacklo_epi8(fourth, third),
            arch::_mm256_unpackhi_epi8(fourth, third),
        ];
        [
            arch::_mm256_castsi256_ps(arch::_mm256_unpacklo_epi16(lower[0], upper[0])),
            arch::_mm256_castsi256_ps(arch::_mm256_unpackhi_epi16(lower[0], upper[0])),
            arch::_mm256_castsi256_ps(arch::_mm256_unpacklo_epi16(lower[1], upper[1])),
            arch::_mm256_castsi256_ps(arch::_mm256_unpackhi_epi16(lower[1], upper[1])),
        ]
    }
}

/// Byte `index` of the values of codes that lie in bytes.
///
/// # Safety
/// The processor must have AVX2.
#[inline(always)]
unsafe fn byte_of(table: &Sixteen, index: usize, codes: arch::__m256i) -> arch::__m256i {
    // SAFETY: the caller's; a part of the table is as long as a register of 128 bits.
    unsafe {
        let bytes = arch::_mm_loadu_si128(table.bytes[index].as_ptr().cast());
        arch::_mm256_shuffle_epi8(arch::_mm256_broadcastsi128_si256(bytes), codes)
    }
}
