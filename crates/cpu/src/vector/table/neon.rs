//! Registers of 64-bit ARM.

use super::{CODES, Sixteen};
use std::arch::aarch64 as arch;

/// # Safety
/// The processor must have NEON.
#[inline(always)]
pub(super) unsafe fn neon<const BF16: bool>(
    table: &Sixteen,
    words: arch::uint8x16_t,
) -> [arch::float32x4_t; CODES] {
    // SAFETY: the caller's.
    unsafe {
        let low = arch::vandq_u8(words, arch::vdupq_n_u8(15));
        let [a, b, c, d] = of_bytes::<BF16>(table, low);
        let [e, f, g, h] = of_bytes::<BF16>(table, arch::vshrq_n_u8::<4>(words));
        [a, b, e, f, c, d, g, h]
    }
}

/// Values of codes that lie in bytes, as AVX2 has them.
///
/// # Safety
/// The processor must have NEON.
#[inline(always)]
unsafe fn of_bytes<const BF16: bool>(
    table: &Sixteen,
    codes: arch::uint8x16_t,
) -> [arch::float32x4_t; 4] {
    // SAFETY: the caller's; any bits are a register.
    unsafe {
        let (second, first) = (byte_of(table, 2, codes), byte_of(table, 3, codes));
        let upper = [
            arch::vzip1q_u8(second, first),
            arch::vzip2q_u8(second, first),
        ];
        if BF16 {
            let mask = arch::vdupq_n_u32(0xffff_0000);
            let [a, b] = [
                arch::vreinterpretq_u32_u8(upper[0]),
                arch::vreinterpretq_u32_u8(upper[1]),
            ];
            return [
                arch::vreinterpretq_f32_u32(arch::vshlq_n_u32::<16>(a)),
                arch::vreinterpretq_f32_u32(arch::vandq_u32(a, mask)),
                arch::vreinterpretq_f32_u32(arch::vshlq_n_u32::<16>(b)),
                arch::vreinterpretq_f32_u32(arch::vandq_u32(b, mask)),
            ];
        }
        let (fourth, third) = (byte_of(table, 0, codes), byte_of(table, 1, codes));
        let lower = [
            arch::vzip1q_u8(fourth, third),
            arch::vzip2q_u8(fourth, third),
        ];
        let [a, b] = [
            arch::vreinterpretq_u16_u8(lower[0]),
            arch::vreinterpretq_u16_u8(lower[1]),
        ];
        let [c, d] = [
            arch::vreinterpretq_u16_u8(upper[0]),
            arch::vreinterpretq_u16_u8(upper[1]),
        ];
        [
            arch::vreinterpretq_f32_u16(arch::vzip1q_u16(a, c)),
            arch::vreinterpretq_f32_u16(arch::vzip2q_u16(a, c)),
            arch::vreinterpretq_f32_u16(arch::vzip1q_u16(b, d)),
            arch::vreinterpretq_f32_u16(arch::vzip2q_u16(b, d)),
        ]
    }
}

/// Byte `index` of the values of codes that lie in bytes.
///
/// # Safety
/// The processor must have NEON.
#[inline(always)]
unsafe fn byte_of(table: &Sixteen, index: usize, codes: arch::uint8x16_t) -> arch::uint8x16_t {
    // SAFETY: the caller's; a part of the table is as long as a register.
    unsafe { arch::vqtbl1q_u8(arch::vld1q_u8(table.bytes[index].as_ptr()), codes) }
}
