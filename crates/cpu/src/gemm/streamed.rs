//! A few rows times a matrix whose rows lie densely: read as it is stored, since packing it would
//! take as long as the product. Only the last columns, less than a panel, are packed.

use super::ProductSum;
use super::blocked::{Job, Side, grown, with_own_blocks};
use super::matrix::{Data, Matrix};
use super::ranges::blocks;
use super::tile::{self, StoredRows};
use crate::floats::Floats;
use crate::simd::dispatch_at;
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Rows up to which this is faster.
const MOST_ROWS: usize = 8;

/// Rows of `B` that are read together, each from its own place in memory.
const STREAMS: usize = 16;

pub(super) fn takes(a: Matrix<'_>, b: Matrix<'_>) -> bool {
    a.rows <= MOST_ROWS && matches!(b.data, Data::Dense(Floats::F32(_))) && b.has_dense_rows()
}

/// Computes some columns of a product.
pub(super) fn run(product: &ProductSum<'_>, columns: Range<usize>) {
    let Data::Dense(Floats::F32(data)) = product.terms[0].1.data else {
        unreachable!("a product that `takes` refuses")
    };
    with_own_blocks(|own| {
        let streamed = Streamed {
            product,
            data,
            columns,
            a: grown(&mut own.a, MOST_ROWS * STREAMS),
            b: grown(&mut own.b, STREAMS * tile::UNIT_COLUMNS),
        };
        dispatch_at(product.level, streamed);
    });
}

struct Streamed<'a> {
    product: &'a ProductSum<'a>,
    data: &'a [f32],
    columns: Range<usize>,
    /// Memory to pack in.
    a: &'a mut [f32],
    b: &'a mut [f32],
}

impl WithSimd for Streamed<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Range { start, end } = self.columns;
        let whole = start..end - self.columns.len() % (2 * S::F32_LANES);
        let (a, _) = self.product.terms[0];
        for first in (0..a.columns.max(1)).step_by(STREAMS) {
            let depth = [first..a.columns.min(first + STREAMS), 0..0];
            let job = Job {
                product: self.product,
                depth: &depth,
                threads: 1,
            };
            let rest = whole.end..end;
            simd.vectorize(job.pack(Side::Rows, 0..a.rows, &mut *self.a));
            multiply_stored(simd, job, self.data, whole.clone(), self.a);
            simd.vectorize(job.pack(Side::Columns, rest.clone(), &mut *self.b));
            simd.vectorize(job.multiply(0..a.rows, rest, self.a, self.b));
        }
    }
}

/// Packed rows times whole panels of rows as they are stored.
#[inline(always)]
fn multiply_stored<S: Simd>(simd: S, job: Job<'_>, data: &[f32], columns: Range<usize>, a: &[f32]) {
    let (rows, b) = job.product.terms[0];
    for panel in blocks(&columns, 2 * S::F32_LANES) {
        let start = job.depth[0].start * b.row_stride + panel.start;
        let b = StoredRows {
            data: data.get(start..).unwrap_or(&[]),
            stride: b.row_stride,
            count: job.depth[0].len(),
        };
        for tile in tile::rows::<S>(&(0..rows.rows)) {
            let a = &a[tile.start * b.count..][..tile.len() * b.count];
            let (output, place) = (&job.product.output, job.place(tile.start, panel.start));
            tile::multiply_stored(simd, tile.len(), a, b, output, place);
        }
    }
}
