//! The inner product: a tile of the result that stays in registers.

use super::output::{Output, Place};
use super::ranges::{blocks, even_parts};
use pulp::Simd;
use std::ops::Range;

/// Writes `$sums(simd, a, b)`, compiled for each number of rows that a tile has.
macro_rules! write_rows {
    ($simd:ident, $rows:ident, $a:ident, $b:ident, $output:ident, $place:ident, $sums:ident) => {
        if S::REGISTER_COUNT >= 32 {
            write_rows!(@ $simd, $rows, $a, $b, $output, $place, $sums, 1 2 3 4 5 6 7 8 9 10 11 12 13 14);
        } else {
            write_rows!(@ $simd, $rows, $a, $b, $output, $place, $sums, 1 2 3 4 5 6);
        }
    };
    (@ $simd:ident, $rows:ident, $a:ident, $b:ident, $output:ident, $place:ident, $sums:ident, $($count:literal)*) => {
        match $rows {
            $($count => {
                let (a, _) = $a.as_chunks::<$count>();
                $output.write($simd, &$sums($simd, a, $b), $place);
            })*
            _ => {}
        }
    };
}

/// Adds or writes the product of a packed tile, `(depth, rows)` of at most [`most_rows`], with a
/// packed panel of `NV` vectors of columns, `(depth, NV)`.
#[inline(always)]
pub(super) fn multiply<S: Simd, const NV: usize>(
    simd: S,
    rows: usize,
    a: &[f32],
    b: &[S::f32s],
    output: &Output<'_>,
    place: Place,
) {
    let (b, _) = b.as_chunks::<NV>();
    output.prefetch(rows, 2 * S::F32_LANES, place);
    write_rows!(simd, rows, a, b, output, place, sums);
}

/// Rows of `B` as they are stored.
#[derive(Clone, Copy)]
pub(super) struct StoredRows<'a> {
    pub(super) data: &'a [f32],
    pub(super) stride: usize,
    pub(super) count: usize,
}

/// Adds or writes the product of a packed tile with two vectors of columns of rows as they are stored.
#[inline(always)]
pub(super) fn multiply_stored<S: Simd>(
    simd: S,
    rows: usize,
    a: &[f32],
    b: StoredRows<'_>,
    output: &Output<'_>,
    place: Place,
) {
    write_rows!(simd, rows, a, b, output, place, stored_sums);
}

#[inline(always)]
fn stored_sums<S: Simd, const MR: usize>(
    simd: S,
    a: &[[f32; MR]],
    b: StoredRows<'_>,
) -> [[S::f32s; 2]; MR] {
    let mut sums = [[simd.splat_f32s(0.0); 2]; MR];
    for (k, a) in a[..b.count].iter().enumerate() {
        let (row, _) = S::as_simd_f32s(&b.data[k * b.stride..][..2 * S::F32_LANES]);
        if let Some((row, _)) = row.split_first_chunk::<2>() {
            add_step(simd, &mut sums, a, row);
        }
    }
    sums
}

/// Rows that are whole tiles at every level.
pub(super) const UNIT_ROWS: usize = 42;

/// Columns of a tile at the level with the widest vectors.
pub(super) const UNIT_COLUMNS: usize = 32;

/// Rows of a tile of two vectors of columns: the sums take all registers but those of the operands.
#[inline(always)]
const fn most_rows<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 14 } else { 6 }
}

/// The rows of tiles, the same whether `rows` are seen at once or some [`UNIT_ROWS`] at a time.
#[inline(always)]
pub(super) fn rows<S: Simd>(rows: &Range<usize>) -> impl Iterator<Item = Range<usize>> + use<S> {
    blocks(rows, UNIT_ROWS).flat_map(|unit| even_parts(&unit, most_rows::<S>()))
}

/// Steps of the depth in one round of the loop, whose own instructions compete with the sums.
const UNROLL: usize = 4;

/// `sum_k a[k][i] b[k][j]`.
#[inline(always)]
fn sums<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    a: &[[f32; MR]],
    b: &[[S::f32s; NV]],
) -> [[S::f32s; NV]; MR] {
    let mut sums = [[simd.splat_f32s(0.0); NV]; MR];
    let ((rounds_a, rest_a), (rounds_b, rest_b)) =
        (a.as_chunks::<UNROLL>(), b.as_chunks::<UNROLL>());
    for (a, b) in rounds_a.iter().zip(rounds_b) {
        for (a, b) in a.iter().zip(b) {
            add_step(simd, &mut sums, a, b);
        }
    }
    for (a, b) in rest_a.iter().zip(rest_b) {
        add_step(simd, &mut sums, a, b);
    }
    sums
}

#[inline(always)]
fn add_step<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    sums: &mut [[S::f32s; NV]; MR],
    a: &[f32; MR],
    b: &[S::f32s; NV],
) {
    for (sums, &a) in sums.iter_mut().zip(a) {
        let a = simd.splat_f32s(a);
        for (sum, &b) in sums.iter_mut().zip(b) {
            *sum = simd.mul_add_e_f32s(a, b, *sum);
        }
    }
}
