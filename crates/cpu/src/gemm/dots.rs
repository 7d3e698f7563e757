//! Few rows times a matrix that lies column after column, such as a token times `W^T`: dot
//! products, which read the matrix once, as it is stored, with no packed copy.

use super::matrix::{Data, Matrix, Packed};
use super::output::Place;
use super::pack::UNPACKED;
use super::ranges::blocks;
use super::{ProductSum, Then, pack};
use crate::floats::Floats;
use crate::simd::{Cache, dispatch_at, prefetch};
use half::bf16;
use half::slice::HalfFloatSliceExt;
use pulp::{Simd, WithSimd, bytemuck};
use std::ops::Range;

/// Rows up to which dot products are faster.
const MOST_ROWS: usize = 8;

/// Rows at most with a matrix of bf16, which would have to be packed.
const MOST_ROWS_BF16: usize = 16;

/// Rows that share each element of a column while it is in a register.
const TILE_ROWS: usize = 8;

/// Inner steps at a time: so much of a tile's rows, 32 KiB, stays in the first cache.
const STEPS: usize = 1024;

/// Columns of a packed matrix at a time: with [`STEPS`], 32 KiB in float32.
const UNPACKED_COLUMNS: usize = 8;

pub(super) fn takes(a: Matrix<'_>, b: Matrix<'_>) -> bool {
    let b = b.transposed();
    let most_rows = match b.data {
        Data::Dense(Floats::F32(_)) | Data::Packed(_) => MOST_ROWS,
        Data::Dense(Floats::Bf16(data)) if are_pairs(data, b) => MOST_ROWS_BF16,
        _ => return false,
    };
    a.columns > 0 && a.rows <= most_rows && b.column_stride == 1
}

/// Computes some columns of a product.
pub(super) fn run(product: &ProductSum<'_>, columns: Range<usize>) {
    let (a, b) = product.terms[0];
    let b = b.transposed();
    dispatch_at(
        product.level,
        Dots {
            product,
            a,
            b,
            columns,
        },
    );
}

fn are_pairs(data: &[bf16], b: Matrix<'_>) -> bool {
    pairs(data, b.row_stride).is_some() && b.columns.is_multiple_of(2)
}

/// A matrix of bf16 as pairs of neighbours, where they can be read so.
fn pairs(data: &[bf16], row_stride: usize) -> Option<&[u32]> {
    let data: &[u16] = data.reinterpret_cast();
    let even = &data[..data.len() / 2 * 2];
    let pairs = bytemuck::try_cast_slice(even).ok()?;
    row_stride.is_multiple_of(2).then_some(pairs)
}

/// The columns of the result that one thread computes; `b` is the matrix read column by column.
struct Dots<'a> {
    product: &'a ProductSum<'a>,
    a: Matrix<'a>,
    b: Matrix<'a>,
    columns: Range<usize>,
}

impl WithSimd for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.b.data {
            Data::Dense(Floats::F32(data)) => self.multiply(simd, data, 1),
            Data::Dense(Floats::Bf16(data)) => {
                if let Some(data) = pairs(data, self.b.row_stride) {
                    self.multiply(simd, data, 2);
                }
            }
            Data::Packed(packed) => self.multiply_unpacked(simd, packed),
            Data::Dense(Floats::F16(_)) => {}
        }
    }
}

impl Dots<'_> {
    /// `per_word` elements of the matrix are one of `W`.
    #[inline(always)]
    fn multiply<S: Simd, W: Word>(&self, simd: S, words: &[W], per_word: usize) {
        for depth in blocks(&(0..self.a.columns), STEPS) {
            for rows in blocks(&(0..self.a.rows), TILE_ROWS) {
                let stride = self.b.row_stride / per_word;
                let tiles = Tiles {
                    product: self.product,
                    rows: &self.prepared::<S, W>(&rows, &depth)[..rows.len()],
                    words: &words[self.columns.start * stride + depth.start / per_word..],
                    stride,
                    steps: depth.len() / per_word,
                    columns: self.columns.clone(),
                    place: self.place(rows.start, depth.start),
                };
                simd.vectorize(tiles);
            }
        }
    }

    /// A packed matrix, some columns at a time in float32.
    #[inline(always)]
    fn multiply_unpacked<S: Simd>(&self, simd: S, packed: Packed<'_>) {
        let mut memory = UNPACKED.take();
        for depth in blocks(&(0..self.a.columns), STEPS) {
            let rows = self.prepared::<S, f32>(&(0..self.a.rows), &depth);
            for columns in blocks(&self.columns, UNPACKED_COLUMNS) {
                let (words, _) = self.b.unpacked(packed, (&columns, &depth), &mut memory);
                let tiles = Tiles {
                    product: self.product,
                    rows: &rows[..self.a.rows],
                    words,
                    stride: depth.len(),
                    steps: depth.len(),
                    columns,
                    place: self.place(0, depth.start),
                };
                simd.vectorize(tiles);
            }
        }
        UNPACKED.set(memory);
    }

    #[inline(always)]
    fn prepared<S: Simd, W: Word>(
        &self,
        rows: &Range<usize>,
        depth: &Range<usize>,
    ) -> [Vec<f32>; TILE_ROWS] {
        let mut prepared = [const { Vec::new() }; TILE_ROWS];
        for (row, to) in rows.clone().zip(&mut prepared) {
            *to = W::prepare::<S>(&pack::row(self.a, row, depth));
        }
        prepared
    }

    fn place(&self, row: usize, step: usize) -> Place {
        Place {
            row,
            column: self.columns.start,
            then: match step {
                0 => self.product.then,
                _ => Then::Add,
            },
        }
    }
}

/// Some rows, as prepared, times all columns.
struct Tiles<'a, W> {
    product: &'a ProductSum<'a>,
    rows: &'a [Vec<f32>],
    /// From the first of the columns on.
    words: &'a [W],
    stride: usize,
    steps: usize,
    columns: Range<usize>,
    place: Place,
}

impl<W: Word> WithSimd for Tiles<'_, W> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // The fewer rows, the more columns it takes to have sums enough to keep the units busy.
        match self.rows.len() {
            1 => self.columns::<S, 1, 8>(simd),
            2 => self.columns::<S, 2, 8>(simd),
            3 => self.columns::<S, 3, 3>(simd),
            4 => self.columns::<S, 4, 3>(simd),
            5 => self.columns::<S, 5, 3>(simd),
            6 => self.columns::<S, 6, 3>(simd),
            7 => self.columns::<S, 7, 3>(simd),
            8 => self.columns::<S, TILE_ROWS, 3>(simd),
            _ => {}
        }
    }
}

impl<W: Word> Tiles<'_, W> {
    /// Tiles of `NR` columns, and the columns that are left.
    #[inline(always)]
    fn columns<S: Simd, const MR: usize, const NR: usize>(&self, simd: S) {
        let mut rows = [&[][..]; MR];
        for (to, row) in rows.iter_mut().zip(self.rows) {
            *to = row;
        }
        let end = self.columns.len();
        let whole = end - end % NR;
        for first in (0..whole).step_by(NR) {
            self.tile::<S, MR, NR>(simd, rows, first);
        }
        for first in whole..end {
            self.tile::<S, MR, 1>(simd, rows, first);
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const MR: usize, const NR: usize>(
        &self,
        simd: S,
        rows: [&[f32]; MR],
        first: usize,
    ) {
        let mut columns = [&self.words[..0]; NR];
        for (j, column) in (first..).zip(&mut columns) {
            *column = &self.words[j * self.stride..][..self.steps];
        }
        let sums = sums(simd, rows, columns, NR * self.stride);
        let place = Place {
            column: self.columns.start + first,
            ..self.place
        };
        self.product.output.write_sums(&sums, place);
    }
}

/// `sum_k a[i][k] b[j][k]`. The columns of the next tile are `to_next` words further.
#[allow(clippy::needless_range_loop)] // Iterators in place of indices cost a quarter of the speed.
#[inline(always)]
fn sums<S: Simd, W: Word, const MR: usize, const NR: usize>(
    simd: S,
    a: [&[f32]; MR],
    b: [&[W]; NR],
    to_next: usize,
) -> [[f32; NR]; MR] {
    let mut rows = [&[][..]; MR];
    for (row, a) in rows.iter_mut().zip(a) {
        *row = S::as_simd_f32s(a).0.as_chunks::<2>().0;
    }
    let steps = b[0].len() / W::step::<S>();
    let mut sums = [[simd.splat_f32s(0.0); NR]; MR];
    for step in 0..steps {
        for j in 0..NR {
            W::prefetch(&b[j][step * W::step::<S>()], to_next);
            let b = W::load(simd, b[j], step);
            for i in 0..MR {
                add_products(simd, &mut sums[i][j], rows[i][step], b);
            }
        }
    }
    if steps < rows[0].len() {
        for j in 0..NR {
            let b = W::load_tail(simd, &b[j][steps * W::step::<S>()..]);
            for i in 0..MR {
                add_products(simd, &mut sums[i][j], rows[i][steps], b);
            }
        }
    }
    let mut totals = [[0.0; NR]; MR];
    for (totals, sums) in totals.iter_mut().zip(sums) {
        for (total, sum) in totals.iter_mut().zip(sums) {
            *total = simd.reduce_sum_f32s(sum);
        }
    }
    totals
}

#[inline(always)]
fn add_products<S: Simd>(simd: S, sum: &mut S::f32s, a: [S::f32s; 2], b: [S::f32s; 2]) {
    *sum = simd.mul_add_e_f32s(a[0], b[0], *sum);
    *sum = simd.mul_add_e_f32s(a[1], b[1], *sum);
}

/// The unit in which a matrix is read: two vectors of elements in a step.
trait Word: Copy {
    /// Words in a step.
    fn step<S: Simd>() -> usize;

    /// A row in the order in which steps give elements, with zeros up to a whole step.
    fn prepare<S: Simd>(row: &[f32]) -> Vec<f32>;

    /// Asks for a line of the next tile, where the arithmetic keeps the processor from looking ahead
    /// far enough by itself.
    fn prefetch(word: &Self, to_next: usize);

    /// The elements of step `index`.
    fn load<S: Simd>(simd: S, words: &[Self], index: usize) -> [S::f32s; 2];

    /// The elements of less than a step, and zeros.
    fn load_tail<S: Simd>(simd: S, words: &[Self]) -> [S::f32s; 2];
}

impl Word for f32 {
    #[inline(always)]
    fn step<S: Simd>() -> usize {
        2 * S::F32_LANES
    }

    #[inline(always)]
    fn prepare<S: Simd>(row: &[f32]) -> Vec<f32> {
        let mut prepared = row.to_vec();
        prepared.resize(row.len().next_multiple_of(Self::step::<S>()), 0.0);
        prepared
    }

    /// Reading is 95 % of the machine's without.
    #[inline(always)]
    fn prefetch(_: &Self, _: usize) {}

    #[inline(always)]
    fn load<S: Simd>(_: S, words: &[f32], index: usize) -> [S::f32s; 2] {
        S::as_simd_f32s(words).0.as_chunks::<2>().0[index]
    }

    #[inline(always)]
    fn load_tail<S: Simd>(simd: S, words: &[f32]) -> [S::f32s; 2] {
        let (first, second) = words.split_at(words.len().min(S::F32_LANES));
        [
            simd.partial_load_f32s(first),
            simd.partial_load_f32s(second),
        ]
    }
}

/// Two bf16: the even element below the odd one, as every processor of today stores them.
impl Word for u32 {
    #[inline(always)]
    fn step<S: Simd>() -> usize {
        S::F32_LANES
    }

    /// The even elements of every step before its odd ones.
    #[inline(always)]
    fn prepare<S: Simd>(row: &[f32]) -> Vec<f32> {
        let lanes = S::F32_LANES;
        let mut prepared = vec![0.0; row.len().next_multiple_of(2 * lanes)];
        let steps = prepared
            .chunks_exact_mut(2 * lanes)
            .zip(row.chunks(2 * lanes));
        for (to, from) in steps {
            let (even, odd) = to.split_at_mut(lanes);
            for (i, &x) in from.iter().enumerate() {
                let half = if i % 2 == 0 { &mut *even } else { &mut *odd };
                half[i / 2] = x;
            }
        }
        prepared
    }

    /// Worth 1.25 to a matrix in memory.
    #[inline(always)]
    fn prefetch(word: &Self, to_next: usize) {
        prefetch(std::ptr::from_ref(word).wrapping_add(to_next), Cache::First);
    }

    #[inline(always)]
    fn load<S: Simd>(simd: S, words: &[u32], index: usize) -> [S::f32s; 2] {
        widen(simd, S::as_simd_u32s(words).0[index])
    }

    #[inline(always)]
    fn load_tail<S: Simd>(simd: S, words: &[u32]) -> [S::f32s; 2] {
        widen(simd, simd.partial_load_u32s(words))
    }
}

#[inline(always)]
fn widen<S: Simd>(simd: S, pairs: S::u32s) -> [S::f32s; 2] {
    let even = simd.wrapping_dyn_shl_u32s(pairs, simd.splat_u32s(16));
    let odd = simd.and_u32s(pairs, simd.splat_u32s(0xffff_0000));
    [
        simd.transmute_f32s_u32s(even),
        simd.transmute_f32s_u32s(odd),
    ]
}
