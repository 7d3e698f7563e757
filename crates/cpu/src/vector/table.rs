//! Sixteen floats by codes of four bits: all codes of a register of words at once, where a processor has an instruction for
//! it.

#[cfg(all(target_arch = "aarch64", not(miri)))]
mod neon;
#[cfg(all(target_arch = "x86_64", not(miri)))]
mod x86;

use pulp::{Simd, bytemuck};
#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
use std::{any::TypeId, mem::transmute_copy};

/// Codes of a word.
pub const CODES: usize = 8;

/// Sixteen floats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sixteen {
    values: [f32; 16],
    /// Bytes of the values, the lowest of all first.
    bytes: [[u8; 16]; 4],
}

impl Sixteen {
    /// The values of the codes, in their order.
    #[must_use]
    pub const fn new(values: [f32; 16]) -> Self {
        let mut bytes = [[0; 16]; 4];
        let mut code = 0;
        while code < 16 {
            let value = values[code].to_le_bytes();
            let mut byte = 0;
            while byte < 4 {
                bytes[byte][code] = value[byte];
                byte += 1;
            }
            code += 1;
        }
        Self { values, bytes }
    }

    /// Whether all are bfloat16: their upper bytes are enough.
    #[must_use]
    pub fn are_bf16(&self) -> bool {
        self.bytes[..2] == [[0; 16]; 2]
    }
}

/// Values of all codes of a register of words, in the lanes that [`place`] tells. `BF16`: all of the table are.
#[inline(always)]
pub fn lookup<const BF16: bool, S: Simd>(
    simd: S,
    table: &Sixteen,
    words: S::u32s,
) -> [S::f32s; CODES] {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if TypeId::of::<S>() == TypeId::of::<pulp::x86::V4>() {
        // SAFETY: a value of this type says that the processor has AVX-512, whose registers these are.
        return unsafe { transmute_copy(&x86::avx512(table, transmute_copy(&words))) };
    }
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if TypeId::of::<S>() == TypeId::of::<pulp::x86::V3>() {
        // SAFETY: a value of this type says that the processor has AVX2, whose registers these are.
        return unsafe { transmute_copy(&x86::avx2::<BF16>(table, transmute_copy(&words))) };
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    if TypeId::of::<S>() == TypeId::of::<pulp::aarch64::Neon>() {
        // SAFETY: a value of this type says that the processor has NEON, whose registers these are.
        return unsafe { transmute_copy(&neon::neon::<BF16>(table, transmute_copy(&words))) };
    }
    let mut values = [simd.splat_f32s(0.0); CODES];
    for (code, values) in values.iter_mut().enumerate() {
        *values = by_lane(simd, table, words, code);
    }
    values
}

/// Word, and code counted from its lowest bits, whose value [`lookup`] puts into a lane of one of its registers. Each half of
/// the registers has a half of all codes: of each word a half, or all of every second pair of words.
#[must_use]
pub fn place<const BF16: bool, S: Simd>(register: usize, lane: usize) -> (usize, usize) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if TypeId::of::<S>() == TypeId::of::<pulp::x86::V3>() {
        return interleaved::<BF16>(register, lane);
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    if TypeId::of::<S>() == TypeId::of::<pulp::aarch64::Neon>() {
        return interleaved::<BF16>(register, lane);
    }
    (lane, register)
}

/// [`place`] where the bytes of values are interleaved in parts of 128 bits.
#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
fn interleaved<const BF16: bool>(register: usize, lane: usize) -> (usize, usize) {
    let (half, is_high, part) = (register / 4, register / 2 % 2, register % 2);
    let (of_128_bits, of_four) = (lane / 4, lane % 4);
    let within = match BF16 {
        true => 2 * of_four + part,
        false => 4 * part + of_four,
    };
    let byte = 16 * of_128_bits + 8 * half + within;
    (byte / 4, byte % 4 * 2 + is_high)
}

#[inline(always)]
fn by_lane<S: Simd>(simd: S, table: &Sixteen, words: S::u32s, code: usize) -> S::f32s {
    let mut values = simd.splat_f32s(0.0);
    let lanes = bytemuck::cast_slice_mut::<_, f32>(std::slice::from_mut(&mut values));
    let words = bytemuck::cast_slice::<_, u32>(std::slice::from_ref(&words));
    for (to, word) in lanes.iter_mut().zip(words) {
        *to = table.values[(word >> (4 * code)) as usize % 16];
    }
    values
}
