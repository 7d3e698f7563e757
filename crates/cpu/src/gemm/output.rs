//! The result of a product, written by several threads at once, each its own part.
#![allow(unsafe_code)]

use super::Then;
use super::matrix::MatrixMut;
use crate::simd::{Cache, prefetch};
use pulp::{Simd, WithSimd, bytemuck};
use std::marker::PhantomData;

/// Memory of a result, and the factor of every sum that is written there.
#[derive(Clone, Copy)]
pub(super) struct Output<'a> {
    start: *mut f32,
    pub(super) rows: usize,
    pub(super) columns: usize,
    row_stride: usize,
    column_stride: usize,
    alpha: f32,
    memory: PhantomData<&'a mut [f32]>,
}

// SAFETY: the memory is borrowed exclusively for as long as an `Output` lives, and it is written
// in `write` and `write_sums` only, whose callers give every thread elements of its own.
unsafe impl Send for Output<'_> {}
// SAFETY: as above.
unsafe impl Sync for Output<'_> {}

/// The first element of a part of the result, and what becomes of the numbers there.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) row: usize,
    pub(super) column: usize,
    pub(super) then: Then,
}

impl<'a> Output<'a> {
    pub(super) fn new(c: MatrixMut<'a>, alpha: f32) -> Self {
        Self {
            start: c.data.as_mut_ptr().cast(),
            rows: c.rows,
            columns: c.columns,
            row_stride: c.row_stride,
            column_stride: c.column_stride,
            alpha,
            memory: PhantomData,
        }
    }

    /// The transposed result: the same memory, written the other way.
    #[must_use]
    pub(super) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Elements of a row lie side by side.
    #[inline(always)]
    pub(super) fn has_dense_rows(&self) -> bool {
        self.column_stride == 1
    }

    /// Asks for the lines of a tile of this size that will be added to when its sums are done. Its panels
    /// go through the first cache until then.
    #[inline(always)]
    pub(super) fn prefetch(&self, rows: usize, columns: usize, place: Place) {
        if self.has_dense_rows() && place.then == Then::Add {
            for row in place.row..place.row + rows {
                let first = self
                    .start
                    .wrapping_add(row * self.row_stride + place.column);
                prefetch(first, Cache::Second);
                prefetch(first.wrapping_add(columns - 1), Cache::Second);
            }
        }
    }

    /// Writes `sums`, as many of their columns as the result has.
    #[inline(always)]
    pub(super) fn write<S: Simd, const MR: usize, const NV: usize>(
        &self,
        simd: S,
        sums: &[[S::f32s; NV]; MR],
        place: Place,
    ) {
        let end = (place.row + MR, place.column + NV * S::F32_LANES);
        if self.has_dense_rows() && end.0 <= self.rows && end.1 <= self.columns {
            return match place.then {
                Then::Write => self.write_whole::<S, MR, NV, false>(simd, sums, place),
                Then::Add => self.write_whole::<S, MR, NV, true>(simd, sums, place),
            };
        }
        // A copy, so that the sums of a whole tile are not forced into memory.
        let spilled = *sums;
        simd.vectorize(Edge {
            output: self,
            sums: bytemuck::cast_slice(spilled.as_flattened()),
            width: NV * S::F32_LANES,
            place,
        });
    }

    /// Writes a tile that lies inside the result.
    #[inline(always)]
    fn write_whole<S: Simd, const MR: usize, const NV: usize, const ADD: bool>(
        &self,
        simd: S,
        sums: &[[S::f32s; NV]; MR],
        place: Place,
    ) {
        let alpha = simd.splat_f32s(self.alpha);
        for (i, sums) in sums.iter().enumerate() {
            let first = (place.row + i) * self.row_stride + place.column;
            // SAFETY: the row lies inside the result, whose elements `MatrixMut` has bounded; no
            // other thread has its part.
            let c =
                unsafe { std::slice::from_raw_parts_mut(self.start.add(first), NV * S::F32_LANES) };
            for (c, &sum) in S::as_mut_simd_f32s(c).0.iter_mut().zip(sums) {
                *c = if ADD {
                    simd.mul_add_e_f32s(alpha, sum, *c)
                } else {
                    simd.mul_f32s(alpha, sum)
                };
            }
        }
    }
}

/// Sums of a tile that reaches beyond the result, or whose rows do not lie densely: a function of its own
/// for tiles of all sizes.
struct Edge<'a> {
    output: &'a Output<'a>,
    /// Row after row.
    sums: &'a [f32],
    width: usize,
    place: Place,
}

impl WithSimd for Edge<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { output, place, .. } = self;
        let columns = place.column..output.columns.min(place.column + self.width);
        let rows = place.row..output.rows;
        for (row, sums) in rows.zip(self.sums.chunks_exact(self.width)) {
            for (column, sum) in columns.clone().zip(sums) {
                output.write_one(row, column, output.alpha * sum, place.then);
            }
        }
    }
}

impl Output<'_> {
    /// Writes a small part of the result.
    #[inline(always)]
    pub(super) fn write_sums<const MR: usize, const NR: usize>(
        &self,
        sums: &[[f32; NR]; MR],
        place: Place,
    ) {
        assert!(place.row + MR <= self.rows && place.column + NR <= self.columns);
        for (i, sums) in sums.iter().enumerate() {
            for (j, sum) in sums.iter().enumerate() {
                self.write_one(
                    place.row + i,
                    place.column + j,
                    self.alpha * sum,
                    place.then,
                );
            }
        }
    }

    #[inline(always)]
    fn write_one(&self, row: usize, column: usize, value: f32, then: Then) {
        debug_assert!(row < self.rows && column < self.columns);
        // SAFETY: inside the result, whose elements `MatrixMut` has bounded; no other thread has
        // this one.
        let c = unsafe {
            &mut *self
                .start
                .add(row * self.row_stride + column * self.column_stride)
        };
        *c = match then {
            Then::Write => value,
            Then::Add => *c + value,
        };
    }
}
