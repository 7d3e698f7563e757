//! Looking up sixteen floats: where a processor has an instruction for it, all lanes of a register at once.

use pulp::{Simd, bytemuck};
#[cfg(all(target_arch = "x86_64", not(miri)))]
use {pulp::x86, std::any::TypeId, std::arch::x86_64 as arch, std::mem::transmute_copy};

/// `table[index % 16]` of every lane.
#[inline(always)]
pub fn lookup<S: Simd>(simd: S, table: &[f32; 16], index: S::u32s) -> S::f32s {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if TypeId::of::<S>() == TypeId::of::<x86::V4>() {
        // SAFETY: a value of this type says that the processor has AVX-512, whose registers these are.
        return unsafe { transmute_copy(&avx512(table, transmute_copy(&index))) };
    }
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if TypeId::of::<S>() == TypeId::of::<x86::V3>() {
        // SAFETY: a value of this type says that the processor has AVX2, whose registers these are.
        return unsafe { transmute_copy(&avx2(table, transmute_copy(&index))) };
    }
    by_lane(simd, table, index)
}

/// # Safety
/// The processor must have AVX-512.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline(always)]
unsafe fn avx512(table: &[f32; 16], index: arch::__m512i) -> arch::__m512 {
    // SAFETY: the caller's; the table is as long as a register.
    unsafe { arch::_mm512_permutexvar_ps(index, arch::_mm512_loadu_ps(table.as_ptr())) }
}

/// The instruction looks up eight: the fourth bit of an index chooses between two tables.
///
/// # Safety
/// The processor must have AVX2.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline(always)]
unsafe fn avx2(table: &[f32; 16], index: arch::__m256i) -> arch::__m256 {
    // SAFETY: the caller's; the table is as long as two registers.
    unsafe {
        let half = |half: usize| {
            let table = arch::_mm256_loadu_ps(table.as_ptr().add(8 * half));
            arch::_mm256_permutevar8x32_ps(table, index)
        };
        let fourth = arch::_mm256_castsi256_ps(arch::_mm256_slli_epi32::<28>(index));
        arch::_mm256_blendv_ps(half(0), half(1), fourth)
    }
}

#[inline(always)]
fn by_lane<S: Simd>(simd: S, table: &[f32; 16], index: S::u32s) -> S::f32s {
    let mut values = simd.splat_f32s(0.0);
    let lanes = bytemuck::cast_slice_mut::<_, f32>(std::slice::from_mut(&mut values));
    let index = bytemuck::cast_slice::<_, u32>(std::slice::from_ref(&index));
    for (to, index) in lanes.iter_mut().zip(index) {
        *to = table[*index as usize % 16];
    }
    values
}
