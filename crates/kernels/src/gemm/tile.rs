//! The inner product: a tile of the result that stays in registers.

use super::PACKED_ROW;
use super::output::{Output, Place};
use pulp::Simd;

/// Writes `$sums(simd, a, b)`, compiled for each number of rows that a tile has.
macro_rules! write_rows {
    ($simd:ident, $a:ident, $b:ident, $output:ident, $place:ident, $sums:ident) => {
        if S::REGISTER_COUNT >= 32 {
            write_rows!(@ $simd, $a, $b, $output, $place, $sums, 1 2 3 4 5 6 7 8 9 10 11 12 13 14);
        } else {
            write_rows!(@ $simd, $a, $b, $output, $place, $sums, 1 2 3 4 5 6);
        }
    };
    (@ $simd:ident, $a:ident, $b:ident, $output:ident, $place:ident, $sums:ident, $($rows:literal)*) => {
        match $a.len() {
            $($rows => {
                if let Some((a, _)) = $a.split_first_chunk::<$rows>() {
                    $output.write($simd, &$sums($simd, a, $b), $place);
                }
            })*
            _ => {}
        }
    };
}

/// Adds or writes the product of packed rows, at most [`most_rows`] of them, with a packed panel
/// of `NV` vectors of columns, `(depth, NV)`.
#[inline(always)]
pub(super) fn multiply<S: Simd, const NV: usize>(
    simd: S,
    a: &[[f32; PACKED_ROW]],
    b: &[S::f32s],
    output: &Output<'_>,
    place: Place,
) {
    let (b, _) = b.as_chunks::<NV>();
    output.prefetch(a.len(), 2 * S::F32_LANES, place);
    write_rows!(simd, a, b, output, place, sums);
}

/// Rows of `B` as they are stored.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) data: &'a [f32],
    pub(super) stride: usize,
    pub(super) count: usize,
}

/// Adds or writes the product of packed rows with two vectors of columns of rows as they are stored.
#[inline(always)]
pub(super) fn multiply_stored<S: Simd>(
    simd: S,
    a: &[[f32; PACKED_ROW]],
    b: Rows<'_>,
    output: &Output<'_>,
    place: Place,
) {
    write_rows!(simd, a, b, output, place, stored_sums);
}

#[inline(always)]
fn stored_sums<S: Simd, const MR: usize>(
    simd: S,
    a: &[[f32; PACKED_ROW]; MR],
    b: Rows<'_>,
) -> [[S::f32s; 2]; MR] {
    let mut sums = [[simd.splat_f32s(0.0); 2]; MR];
    for k in 0..b.count.min(PACKED_ROW) {
        let (row, _) = S::as_simd_f32s(&b.data[k * b.stride..][..2 * S::F32_LANES]);
        if let Some((row, _)) = row.split_first_chunk::<2>() {
            add_step(simd, &mut sums, a, k, row);
        }
    }
    sums
}

/// Rows of a tile of two vectors of columns: the sums take all registers but those of the operands.
#[inline(always)]
pub(super) const fn most_rows<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 14 } else { 6 }
}

/// Steps of the depth in one round of the loop, whose own instructions compete with the sums.
const UNROLL: usize = 4;

/// `sum_k a[i][k] b[k][j]`.
#[inline(always)]
fn sums<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    a: &[[f32; PACKED_ROW]; MR],
    b: &[[S::f32s; NV]],
) -> [[S::f32s; NV]; MR] {
    let mut sums = [[simd.splat_f32s(0.0); NV]; MR];
    let (rounds, rest) = b.as_chunks::<UNROLL>();
    let done = rounds.len() * UNROLL;
    for (k, b) in (0..PACKED_ROW).step_by(UNROLL).zip(rounds) {
        for (u, b) in b.iter().enumerate() {
            add_step(simd, &mut sums, a, k + u, b);
        }
    }
    for (k, b) in (done..PACKED_ROW).zip(rest) {
        add_step(simd, &mut sums, a, k, b);
    }
    sums
}

#[inline(always)]
fn add_step<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    sums: &mut [[S::f32s; NV]; MR],
    a: &[[f32; PACKED_ROW]; MR],
    k: usize,
    b: &[S::f32s; NV],
) {
    for (sums, a) in sums.iter_mut().zip(a) {
        let a = simd.splat_f32s(a[k]);
        for (sum, &b) in sums.iter_mut().zip(b) {
            *sum = simd.mul_add_e_f32s(a, b, *sum);
        }
    }
}
