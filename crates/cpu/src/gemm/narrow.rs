//! Many float32 rows times a matrix of a few columns, such as tokens times an adapter: packing the
//! rows would take as long as the product, so they are read as they are stored.

use super::ProductSum;
use super::blocked::{Job, Own, Side, grown, with_own_blocks};
use super::matrix::{Data, Matrix};
use super::output::Place;
use super::ranges::blocks;
use super::tile::UNIT_COLUMNS;
use super::transpose::{BLOCK, transposed};
use crate::floats::Floats;
use crate::simd::{Cache, dispatch_at, prefetch};
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Columns at most: those of the widest vector.
const MOST_COLUMNS: usize = 16;

/// Columns from which this is faster, where a row lies densely: fewer are dot products of the product
/// transposed, which leave nothing of a vector empty.
const FEWEST_COLUMNS: usize = 9;

/// Columns from which this is faster where a column lies densely, and there are [`STRIDED_STEPS`].
const FEWEST_OF_DENSE_COLUMNS: usize = 4;

/// Rows from which this is faster.
const FEWEST_ROWS: usize = 17;

/// Inner steps at a time where a row lies densely: 32 KiB of the packed operand, which the first cache
/// keeps for all rows.
const STEPS: usize = 512;

/// Steps from which this is faster where a column lies densely: each step is another place in memory.
const STRIDED_STEPS: usize = 32;

/// Rows whose sums are held at a time: 128 KiB of the second cache.
const ROWS: usize = 2048;

// A part that ended inside of a block would write to the first rows of the next one.
const _: () = assert!(UNIT_COLUMNS.is_multiple_of(BLOCK) && ROWS.is_multiple_of(BLOCK));

pub(super) fn takes(a: Matrix<'_>, b: Matrix<'_>) -> bool {
    let fewest = match (a.column_stride, a.row_stride) {
        (1, _) => FEWEST_COLUMNS,
        (_, 1) if a.columns >= STRIDED_STEPS => FEWEST_OF_DENSE_COLUMNS,
        (_, 1) => FEWEST_COLUMNS,
        _ => return false,
    };
    matches!(a.data, Data::Dense(Floats::F32(_)))
        && a.rows >= FEWEST_ROWS
        && a.columns > 0
        && (fewest..=MOST_COLUMNS).contains(&b.columns)
}

/// Computes some rows of a product.
pub(super) fn run(product: &ProductSum<'_>, rows: Range<usize>) {
    let Data::Dense(Floats::F32(data)) = product.terms[0].0.data else {
        unreachable!("a product that `takes` refuses")
    };
    with_own_blocks(|own| {
        for rows in blocks(&rows, ROWS) {
            let narrow = Narrow {
                product,
                data,
                rows,
                own,
            };
            dispatch_at(product.level, narrow);
        }
    });
}

struct Narrow<'a> {
    product: &'a ProductSum<'a>,
    data: &'a [f32],
    rows: Range<usize>,
    /// Memory for the sums and to pack in.
    own: &'a mut Own,
}

impl WithSimd for Narrow<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let (_, b) = self.product.terms[0];
        for columns in blocks(&(0..b.columns), 2 * S::F32_LANES) {
            // The first half is known to the compiler, which leaves out what no product takes.
            match S::F32_LANES < MOST_COLUMNS && columns.len() > S::F32_LANES {
                true => self.panel::<S, 2>(simd, columns),
                false => self.panel::<S, 1>(simd, columns),
            }
        }
    }
}

impl Narrow<'_> {
    /// Computes at most `NV` vectors of columns.
    #[inline(always)]
    fn panel<S: Simd, const NV: usize>(&mut self, simd: S, columns: Range<usize>) {
        let (product, rows) = (self.product, self.rows.clone());
        let (a, _) = product.terms[0];
        let width = NV * S::F32_LANES;
        let sums = grown(&mut self.own.a, rows.len() * width);
        sums.fill(0.0);
        let steps = match a.column_stride {
            1 => STEPS,
            _ => STRIDED_STEPS,
        };
        for depth in blocks(&(0..a.columns), steps) {
            let b = grown(&mut self.own.b, depth.len() * width);
            let start = rows.start * a.row_stride + depth.start * a.column_stride;
            let job = Job {
                product,
                depth: &[depth, 0..0],
                threads: 1,
            };
            simd.vectorize(job.pack(Side::Columns, columns.clone(), &mut *b));
            let strip = Strip {
                data: &self.data[start..],
                a,
                b: S::as_simd_f32s(b).0.as_chunks::<NV>().0,
            };
            strip.add_to(simd, S::as_mut_simd_f32s(sums).0.as_chunks_mut::<NV>().0);
        }
        self.write::<S, NV>(simd, columns.start);
    }

    /// Writes the sums, in blocks of columns where those lie densely.
    #[inline(always)]
    fn write<S: Simd, const NV: usize>(&self, simd: S, column: usize) {
        let Self {
            product, rows, own, ..
        } = self;
        let sums = &own.a[..rows.len() * NV * S::F32_LANES];
        let then = product.then;
        if !product.output.has_dense_rows() {
            return self.write_transposed(simd, sums, NV * S::F32_LANES, column);
        }
        let sums = S::as_simd_f32s(sums).0.as_chunks::<NV>().0;
        for (row, sums) in rows.clone().zip(sums) {
            let place = Place { row, column, then };
            product.output.write(simd, &[*sums], place);
        }
    }

    /// Sums to a result where the columns of the result lie densely, which become rows. Only the last rows of
    /// all are less than a block.
    #[inline(always)]
    fn write_transposed<S: Simd>(&self, simd: S, sums: &[f32], width: usize, column: usize) {
        let output = self.product.output.transposed();
        let columns = column..output.rows.min(column + width);
        for (rows, sums) in blocks(&self.rows, BLOCK).zip(sums.chunks(BLOCK * width)) {
            let mut block = [[0.0; BLOCK]; BLOCK];
            for (to, sums) in block.iter_mut().zip(sums.chunks(width)) {
                to[..width].copy_from_slice(sums);
            }
            for (row, sums) in columns.clone().zip(&transposed(simd, &block)) {
                let columns = rows.clone().step_by(S::F32_LANES);
                for (column, &sums) in columns.zip(S::as_simd_f32s(sums).0) {
                    let then = self.product.then;
                    output.write(simd, &[[sums]], Place { row, column, then });
                }
            }
        }
    }
}

/// Some inner steps of all rows.
struct Strip<'a, S: Simd, const NV: usize> {
    /// From the first step of the first row on.
    data: &'a [f32],
    a: Matrix<'a>,
    b: &'a [[S::f32s; NV]],
}

/// The sums of a tile of rows.
type Sums<S, const MR: usize, const NV: usize> = [[<S as Simd>::f32s; NV]; MR];

impl<S: Simd, const NV: usize> Strip<'_, S, NV> {
    /// Adds the products to the sums of every row: of a tile, those in half of the registers.
    #[inline(always)]
    fn add_to(&self, simd: S, sums: &mut [[S::f32s; NV]]) {
        let done = match S::REGISTER_COUNT / NV {
            32.. => self.tiles::<8, 16>(simd, 0, sums),
            16.. => self.tiles::<4, 8>(simd, 0, sums),
            _ => self.tiles::<2, 4>(simd, 0, sums),
        };
        self.tiles::<1, 1>(simd, done, sums);
    }

    /// Products of as many tiles as there are from row `first` on, of `DENSE` rows where those lie densely and of
    /// `STRIDED` where columns do. Says which row is next.
    #[inline(always)]
    fn tiles<const DENSE: usize, const STRIDED: usize>(
        &self,
        simd: S,
        first: usize,
        sums: &mut [[S::f32s; NV]],
    ) -> usize {
        match self.a.column_stride {
            1 => self.each_tile::<DENSE, true>(simd, first, sums),
            _ => self.each_tile::<STRIDED, false>(simd, first, sums),
        }
    }

    #[inline(always)]
    fn each_tile<const MR: usize, const DENSE_ROWS: bool>(
        &self,
        simd: S,
        first: usize,
        sums: &mut [[S::f32s; NV]],
    ) -> usize {
        let (tiles, _) = sums[first..].as_chunks_mut::<MR>();
        let next = first + MR * tiles.len();
        for (row, sums) in (first..).step_by(MR).zip(tiles) {
            let data = &self.data[row * self.a.row_stride..];
            let products = match DENSE_ROWS {
                true => self.dense_rows::<MR>(simd, data),
                false => self.dense_columns::<MR>(simd, data),
            };
            add_all(simd, sums, &products);
        }
        next
    }

    /// Rows that lie densely. Even and odd steps apart: one after the other, additions of so few rows
    /// would wait for one another.
    #[allow(clippy::needless_range_loop)] // Iterators keep the sums in memory.
    #[inline(always)]
    fn dense_rows<const MR: usize>(&self, simd: S, data: &[f32]) -> Sums<S, MR, NV> {
        let mut rows = [data; MR];
        for (i, row) in rows.iter_mut().enumerate() {
            *row = &data[i * self.a.row_stride..][..self.b.len()];
        }
        let mut sums = [[[simd.splat_f32s(0.0); NV]; MR]; 2];
        let (pairs, rest) = self.b.as_chunks::<2>();
        for (pair, b) in pairs.iter().enumerate() {
            for parity in 0..2 {
                for i in 0..MR {
                    add(
                        simd,
                        &mut sums[parity][i],
                        rows[i][2 * pair + parity],
                        &b[parity],
                    );
                }
            }
        }
        for b in rest {
            for i in 0..MR {
                add(simd, &mut sums[0][i], rows[i][2 * pairs.len()], b);
            }
        }
        let [mut even, odd] = sums;
        add_all(simd, &mut even, &odd);
        even
    }

    /// Columns that lie densely.
    #[inline(always)]
    fn dense_columns<const MR: usize>(&self, simd: S, data: &[f32]) -> Sums<S, MR, NV> {
        let mut sums = [[simd.splat_f32s(0.0); NV]; MR];
        for (k, b) in self.b.iter().enumerate() {
            let column = &data[k * self.a.column_stride..][..MR];
            // Each step is another place in memory, more than the processor looks ahead at.
            prefetch(column.as_ptr().wrapping_add(2 * MR), Cache::Second);
            for (sums, &a) in sums.iter_mut().zip(column) {
                add(simd, sums, a, b);
            }
        }
        sums
    }
}

#[inline(always)]
fn add<S: Simd, const NV: usize>(simd: S, sums: &mut [S::f32s; NV], a: f32, b: &[S::f32s; NV]) {
    let a = simd.splat_f32s(a);
    for (sum, &b) in sums.iter_mut().zip(b) {
        *sum = simd.mul_add_e_f32s(a, b, *sum);
    }
}

#[inline(always)]
fn add_all<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    sums: &mut Sums<S, MR, NV>,
    more: &Sums<S, MR, NV>,
) {
    for (sums, more) in sums.iter_mut().zip(more) {
        for (sum, &more) in sums.iter_mut().zip(more) {
            *sum = simd.add_f32s(*sum, more);
        }
    }
}
