//! Registers of AVX-512 with products of bytes.

use super::{BYTES, DIGITS, Factors, LANES, Whole};
use crate::simd::{Level, level};
use std::arch::x86_64 as arch;

/// Bytes that are asked for ahead of their use, to the first cache and to the second (docs/log/packed.md).
const AHEAD: [usize; 2] = [2 << 10, 8 << 10];

/// Whether the processor has the instructions, at the level of this process.
pub(super) fn is_available() -> bool {
    matches!(level(), Level::Avx512 | Level::Amx)
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vnni")
}

/// Dot products of `row` with all rows of codes.
///
/// # Safety
/// The processor must have the instructions; `factors` are as long as [`Whole::dots`] says.
pub(super) unsafe fn dots(row: &Whole, words: &[u32], factors: Factors<'_>, to: &mut [f32]) {
    // SAFETY: the caller's.
    unsafe {
        match row.layout.bits {
            2 => all::<2, 4>(row, words, factors, to),
            _ => all::<4, 2>(row, words, factors, to),
        }
    }
}

/// # Safety
/// As [`dots`].
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn all<const BITS: usize, const PER_BYTE: usize>(
    row: &Whole,
    words: &[u32],
    factors: Factors<'_>,
    to: &mut [f32],
) {
    let (n_groups, groups) = (row.sums.len(), row.layout.groups());
    let of_lanes: [u32; LANES] = std::array::from_fn(|lane| (lane * groups / LANES) as u32);
    let words = words.chunks_exact((words.len() / to.len().max(1)).max(1));
    let offsets = factors.offsets.chunks_exact(n_groups.max(1));
    for (index, ((to, words), offsets)) in to.iter_mut().zip(words).zip(offsets).enumerate() {
        let scales = Scales {
            first: factors.scales[index * n_groups..].as_ptr(),
            groups,
            of_lanes: &of_lanes,
        };
        // SAFETY: the caller's.
        *to = unsafe {
            let scaled = scaled::<BITS, PER_BYTE>(row, words, scales);
            arch::_mm512_reduce_add_ps(with_offsets(scaled, offsets, &row.sums))
        };
    }
}

/// Scales of a row's groups.
#[derive(Clone, Copy)]
struct Scales<'a> {
    first: *const f32,
    /// Groups of a register.
    groups: usize,
    /// Group of each of its lanes.
    of_lanes: &'a [u32; LANES],
}

impl Scales<'_> {
    /// Scales of the lanes of a register.
    ///
    /// # Safety
    /// The processor must have the instructions, and the row a register of that index.
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn of_register(self, index: usize) -> arch::__m512 {
        // SAFETY: a register more than the row's scales may be read.
        unsafe {
            let scales = arch::_mm512_loadu_ps(self.first.add(index * self.groups));
            let of_lanes = arch::_mm512_loadu_si512(self.of_lanes.as_ptr().cast());
            arch::_mm512_permutexvar_ps(of_lanes, scales)
        }
    }
}

/// # Safety
/// The processor must have the instructions, and the scales be of a row of `words`.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn scaled<const BITS: usize, const PER_BYTE: usize>(
    row: &Whole,
    words: &[u32],
    scales: Scales<'_>,
) -> arch::__m512 {
    let (whole, rest) = words.as_chunks::<LANES>();
    let bytes = row.bytes.chunks_exact(DIGITS * PER_BYTE).zip(&row.scales);
    let mut total = arch::_mm512_setzero_ps();
    // SAFETY: the caller's; loads are of slices, and the mask leaves out what is behind the words.
    unsafe {
        for (index, (words, bytes)) in whole.iter().zip(bytes.clone()).enumerate() {
            let ahead = AHEAD.map(|bytes| words.as_ptr().cast::<i8>().wrapping_add(bytes));
            arch::_mm_prefetch::<{ arch::_MM_HINT_T0 }>(ahead[0]);
            arch::_mm_prefetch::<{ arch::_MM_HINT_T1 }>(ahead[1]);
            let codes = arch::_mm512_loadu_si512(words.as_ptr().cast());
            let sums = sums::<BITS, PER_BYTE>(codes, bytes);
            total = arch::_mm512_fmadd_ps(sums, scales.of_register(index), total);
        }
        if let (false, Some(bytes)) = (rest.is_empty(), bytes.clone().nth(whole.len())) {
            let there = u16::MAX >> (LANES - rest.len());
            let codes = arch::_mm512_maskz_loadu_epi32(there, rest.as_ptr().cast());
            let sums = sums::<BITS, PER_BYTE>(codes, bytes);
            total =
                arch::_mm512_mask3_fmadd_ps(sums, scales.of_register(whole.len()), total, there);
        }
    }
    total
}

/// # Safety
/// The processor must have the instructions.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn with_offsets(total: arch::__m512, offsets: &[f32], sums: &[f32]) -> arch::__m512 {
    let registers = offsets.chunks(LANES).zip(sums.chunks(LANES));
    registers.fold(total, |total, (offsets, sums)| {
        let there = u16::MAX >> (LANES - offsets.len());
        // SAFETY: the mask leaves out what is behind the slices.
        unsafe {
            let offsets = arch::_mm512_maskz_loadu_ps(there, offsets.as_ptr());
            let sums = arch::_mm512_maskz_loadu_ps(there, sums.as_ptr());
            arch::_mm512_fmadd_ps(offsets, sums, total)
        }
    })
}

/// Sums of codes times floats, each of the codes of its lane.
///
/// # Safety
/// The processor must have the instructions; `bytes` and `counts` are those of a register.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn sums<const BITS: usize, const PER_BYTE: usize>(
    codes: arch::__m512i,
    (bytes, counts): (&[[i8; BYTES]], &[f32; LANES]),
) -> arch::__m512 {
    let mask = arch::_mm512_set1_epi8((1 << BITS) - 1);
    let mut parts = [codes; PER_BYTE];
    for (shift, part) in (0..).step_by(BITS).zip(&mut parts) {
        let shifted = arch::_mm512_srlv_epi32(codes, arch::_mm512_set1_epi32(shift));
        *part = arch::_mm512_and_si512(shifted, mask);
    }
    let mut sums = arch::_mm512_setzero_si512();
    for digit in 0..DIGITS {
        sums = arch::_mm512_slli_epi32::<8>(sums);
        for (part, bytes) in parts.iter().zip(&bytes[digit * PER_BYTE..]) {
            // SAFETY: the bytes are as long as a register.
            let bytes = unsafe { arch::_mm512_loadu_si512(bytes.as_ptr().cast()) };
            sums = arch::_mm512_dpbusd_epi32(sums, *part, bytes);
        }
    }
    // SAFETY: they are as long as a register.
    let counts = unsafe { arch::_mm512_loadu_ps(counts.as_ptr()) };
    arch::_mm512_mul_ps(arch::_mm512_cvtepi32_ps(sums), counts)
}
