//! Products of tiles: some rows by one panel of columns, whose sums stay in registers.
#![allow(unsafe_code)]

use metal_candle_cpu::vector::{load, store};
use pulp::Simd;

/// Registers in a row of a panel.
const ACROSS: usize = 2;

/// Columns of the widest panel: two registers of AVX-512. The panels of every level divide it.
pub(super) const WIDEST_PANEL: usize = 32;

/// Columns of a panel.
#[inline(always)]
pub(super) const fn panel<S: Simd>() -> usize {
    ACROSS * S::F32_LANES
}

/// A left factor: row `i` of step `k` is the element `i * row + k * step`.
#[derive(Clone, Copy)]
pub(super) struct Left<'a> {
    pub(super) data: &'a [f32],
    pub(super) rows: usize,
    pub(super) row: usize,
    pub(super) step: usize,
}

/// A right factor: the panel of step `k` begins at the element `k * step`.
#[derive(Clone, Copy)]
pub(super) struct Right<'a> {
    pub(super) data: &'a [f32],
    pub(super) step: usize,
}

/// `M` rows of a panel.
#[derive(Clone, Copy)]
pub(super) struct Tile<S: Simd, const M: usize>([[S::f32s; ACROSS]; M]);

impl<S: Simd, const M: usize> Tile<S, M> {
    #[inline(always)]
    pub(super) fn zeros(simd: S) -> Self {
        Self([[simd.splat_f32s(0.0); ACROSS]; M])
    }

    /// From rows that are `row` elements apart.
    #[inline(always)]
    pub(super) fn load(simd: S, data: &[f32], row: usize) -> Self {
        assert!((M - 1) * row + panel::<S>() <= data.len());
        let Self(mut tile) = Self::zeros(simd);
        for (i, registers) in tile.iter_mut().enumerate() {
            for (n, register) in registers.iter_mut().enumerate() {
                // SAFETY: the last element of the last row is within `data`, as asserted.
                *register = unsafe { load::<S>(data.as_ptr().add(i * row + n * S::F32_LANES)) };
            }
        }
        Self(tile)
    }

    /// To rows that are `row` elements apart.
    #[inline(always)]
    pub(super) fn store(self, data: &mut [f32], row: usize) {
        assert!((M - 1) * row + panel::<S>() <= data.len());
        for (i, registers) in self.0.into_iter().enumerate() {
            for (n, register) in registers.into_iter().enumerate() {
                let to = i * row + n * S::F32_LANES;
                // SAFETY: the last element of the last row is within `data`, as asserted.
                unsafe { store::<S>(data.as_mut_ptr().add(to), register) };
            }
        }
    }

    /// With `sum over k < steps of left[i][k] * right[k]` added to row `i`, one multiplication
    /// after the other. Rows that `left` does not have repeat its last.
    #[inline(always)]
    pub(super) fn plus(self, simd: S, left: Left<'_>, right: Right<'_>, steps: usize) -> Self {
        let Self(mut sums) = self;
        if steps == 0 || left.rows == 0 {
            return self;
        }
        let last = left.rows.min(M) - 1;
        assert!(last * left.row + (steps - 1) * left.step < left.data.len());
        assert!((steps - 1) * right.step + panel::<S>() <= right.data.len());
        let mut rows = [left.data.as_ptr(); M];
        for (i, row) in rows.iter_mut().enumerate() {
            // SAFETY: within `left.data`, as asserted for the last row.
            *row = unsafe { row.add(i.min(last) * left.row) };
        }
        for k in 0..steps {
            // SAFETY: step `k` of the last row and the panel of step `k` are within their slices,
            // as asserted for the last step.
            unsafe {
                let b = right.data.as_ptr().add(k * right.step);
                let b: [_; ACROSS] = [load::<S>(b), load::<S>(b.add(S::F32_LANES))];
                for (sums, row) in sums.iter_mut().zip(rows) {
                    let a = simd.splat_f32s(*row.add(k * left.step));
                    for (sum, b) in sums.iter_mut().zip(b) {
                        *sum = simd.mul_add_e_f32s(a, b, *sum);
                    }
                }
            }
        }
        Self(sums)
    }
}
