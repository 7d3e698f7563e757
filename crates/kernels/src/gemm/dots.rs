//! Few rows times a matrix that lies column after column, such as a token times `W^T`: dot
//! products, which read the matrix once, as it is stored, with no packed copy.

use super::matrix::{Data, Matrix};
use super::output::{Output, Place};
use super::{Then, Threads, share};
use crate::simd::{Level, dispatch_at};
use half::bf16;
use half::slice::HalfFloatSliceExt;
use pulp::{Simd, WithSimd, bytemuck};
use std::ops::Range;

/// Rows up to which dot products are faster than packing.
const MOST_ROWS: usize = 16;

/// Rows that share each element of a column while it is in a register.
const TILE_ROWS: usize = 4;

/// Columns that are read at a time.
const TILE_COLUMNS: usize = 4;

pub(super) fn takes(a: Matrix<'_>, b: Matrix<'_>) -> bool {
    let b = b.transposed();
    let is_f32 = matches!(a.data, Data::F32(_));
    let is_readable = match b.data {
        Data::F32(_) => true,
        Data::Bf16(data) => pairs(data, b.row_stride).is_some() && b.columns.is_multiple_of(2),
        Data::F16(_) => false,
    };
    a.columns > 0
        && a.rows <= MOST_ROWS
        && is_f32
        && a.has_dense_rows()
        && b.has_dense_rows()
        && is_readable
}

pub(super) fn product(
    level: Level,
    output: Output<'_>,
    then: Then,
    a: Matrix<'_>,
    b: Matrix<'_>,
    threads: Threads,
) {
    let (Data::F32(rows), b) = (a.data, b.transposed()) else {
        return;
    };
    let dots = |columns| Dots {
        rows,
        a,
        b,
        output,
        then,
        columns,
    };
    share(threads, a.rows * a.columns * b.rows, b.rows, |columns| {
        dispatch_at(level, dots(columns));
    });
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
    rows: &'a [f32],
    a: Matrix<'a>,
    b: Matrix<'a>,
    output: Output<'a>,
    then: Then,
    columns: Range<usize>,
}

impl WithSimd for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.b.data {
            Data::F32(data) => self.multiply(simd, data, 1),
            Data::Bf16(data) => {
                if let Some(data) = pairs(data, self.b.row_stride) {
                    self.multiply(simd, data, 2);
                }
            }
            Data::F16(_) => {}
        }
    }
}

impl Dots<'_> {
    /// `per_word` elements of the matrix are one of `W`.
    #[inline(always)]
    fn multiply<S: Simd, W: Word>(&self, simd: S, words: &[W], per_word: usize) {
        let depth = self.a.columns;
        let column = |j: usize| {
            let start = j * self.b.row_stride / per_word;
            &words[start..start + depth / per_word]
        };
        let prepared: Vec<Vec<f32>> = (0..self.a.rows)
            .map(|i| W::prepare::<S>(&self.rows[i * self.a.row_stride..][..depth]))
            .collect();
        for (i, rows) in prepared.chunks(TILE_ROWS).enumerate() {
            let place = |j| Place {
                row: i * TILE_ROWS,
                column: j,
                then: self.then,
            };
            let mut columns = self.columns.clone();
            while columns.len() >= TILE_COLUMNS {
                let first = columns.start;
                let tile = std::array::from_fn(|j| column(first + j));
                self.tile::<S, W, TILE_COLUMNS>(simd, rows, tile, place(first));
                columns.start += TILE_COLUMNS;
            }
            for j in columns {
                self.tile::<S, W, 1>(simd, rows, [column(j)], place(j));
            }
        }
    }

    #[inline(always)]
    fn tile<S: Simd, W: Word, const NR: usize>(
        &self,
        simd: S,
        rows: &[Vec<f32>],
        columns: [&[W]; NR],
        place: Place,
    ) {
        macro_rules! by_rows {
            ($($count:literal)*) => {
                match rows.len() {
                    $($count => {
                        let rows: [&[f32]; $count] = std::array::from_fn(|i| &rows[i][..]);
                        let sums = sums::<S, W, $count, NR>(simd, rows, columns);
                        self.output.write_sums(&sums, place);
                    })*
                    _ => {}
                }
            };
        }
        by_rows!(1 2 3 4);
    }
}

/// `sum_k a[i][k] b[j][k]`.
#[inline(always)]
fn sums<S: Simd, W: Word, const MR: usize, const NR: usize>(
    simd: S,
    a: [&[f32]; MR],
    b: [&[W]; NR],
) -> [[f32; NR]; MR] {
    let a = a.map(|a| S::as_simd_f32s(a).0.as_chunks::<2>().0);
    let steps = b[0].len() / W::step::<S>();
    let mut sums = [[[simd.splat_f32s(0.0); 2]; NR]; MR];
    for step in 0..steps {
        let a = a.map(|a| a[step]);
        for j in 0..NR {
            let b = W::load(simd, b[j], step);
            for i in 0..MR {
                add_products(simd, &mut sums[i][j], a[i], b);
            }
        }
    }
    if steps < a[0].len() {
        for j in 0..NR {
            let b = W::load_tail(simd, &b[j][steps * W::step::<S>()..]);
            for i in 0..MR {
                add_products(simd, &mut sums[i][j], a[i][steps], b);
            }
        }
    }
    sums.map(|sums| sums.map(|[x, y]| simd.reduce_sum_f32s(simd.add_f32s(x, y))))
}

#[inline(always)]
fn add_products<S: Simd>(simd: S, sums: &mut [S::f32s; 2], a: [S::f32s; 2], b: [S::f32s; 2]) {
    for half in 0..2 {
        sums[half] = simd.mul_add_e_f32s(a[half], b[half], sums[half]);
    }
}

/// What a matrix is read in: two vectors of elements in a step.
trait Word: Copy {
    /// Words in a step.
    fn step<S: Simd>() -> usize;

    /// A row in the order in which steps give elements, with zeros up to a whole step.
    fn prepare<S: Simd>(row: &[f32]) -> Vec<f32>;

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
    [even, odd].map(|x| simd.transmute_f32s_u32s(x))
}
