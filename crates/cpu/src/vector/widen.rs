//! Signed bytes and float16 as float32, in the instructions that processors have for it.

use half::f16;
use pulp::Simd;
#[cfg(all(target_arch = "x86_64", not(miri)))]
use std::{any::TypeId, arch::x86_64 as arch};

/// Numbers that are widened at a time.
pub const RUN: usize = 32;

/// `byte - zero` of all bytes of a run, which has to be a signed byte.
#[inline(always)]
pub fn bytes<S: Simd>(_: S, from: &[i8; RUN], zero: i8) -> [f32; RUN] {
    let mut to = [0.0; RUN];
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if TypeId::of::<S>() == TypeId::of::<pulp::x86::V4>() {
        for (to, from) in (to.as_chunks_mut::<16>().0.iter_mut()).zip(from.as_chunks::<16>().0) {
            // SAFETY: a value of this type says that the processor has AVX-512; arrays are as long as registers.
            unsafe {
                let bytes = arch::_mm_loadu_si128(from.as_ptr().cast());
                let bytes = arch::_mm_sub_epi8(bytes, arch::_mm_set1_epi8(zero));
                let floats = arch::_mm512_cvtepi32_ps(arch::_mm512_cvtepi8_epi32(bytes));
                arch::_mm512_storeu_ps(to.as_mut_ptr(), floats);
            }
        }
        return to;
    }
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if TypeId::of::<S>() == TypeId::of::<pulp::x86::V3>() {
        for (to, from) in (to.as_chunks_mut::<8>().0.iter_mut()).zip(from.as_chunks::<8>().0) {
            // SAFETY: a value of this type says that the processor has AVX2; arrays are as long as registers.
            unsafe {
                let bytes = arch::_mm_loadl_epi64(from.as_ptr().cast());
                let bytes = arch::_mm_sub_epi8(bytes, arch::_mm_set1_epi8(zero));
                let floats = arch::_mm256_cvtepi32_ps(arch::_mm256_cvtepi8_epi32(bytes));
                arch::_mm256_storeu_ps(to.as_mut_ptr(), floats);
            }
        }
        return to;
    }
    for (to, &from) in to.iter_mut().zip(from) {
        *to = f32::from(from.wrapping_sub(zero));
    }
    to
}

/// The float16 of some bits. `f16::to_f32` is a call each time.
#[inline(always)]
pub fn half<S: Simd>(_: S, bits: u16) -> f32 {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if TypeId::of::<S>() == TypeId::of::<pulp::x86::V4>()
        || TypeId::of::<S>() == TypeId::of::<pulp::x86::V3>() && is_x86_feature_detected!("f16c")
    {
        // SAFETY: AVX-512 has this instruction, and of the other level it was asked.
        return unsafe {
            arch::_mm_cvtss_f32(arch::_mm_cvtph_ps(arch::_mm_cvtsi32_si128(bits.into())))
        };
    }
    f16::from_bits(bits).to_f32()
}
