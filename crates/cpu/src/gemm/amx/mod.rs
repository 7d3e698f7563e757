//! Products in tiles of bf16 whose results are those of float32: a float32 is the sum of three bf16, to
//! the bit, so that `A B` is a sum of products of their parts. A weight of bf16 is one part itself, and
//! nothing is lost; of two float32, which only a second term multiplies, the products of the least parts
//! are left out, at most `2^-21` of the whole and `2^-24` as a rule (Henry, Tang and Heinecke 2019,
//! <https://arxiv.org/abs/1904.06376>).
//!
//! Numbers below `2^-126`, parts included, count as zero. Infinity times a float32 may be NaN in a second
//! term.

mod pack;

use super::blocked::{Job, Scheme, Side};
use super::matrix::{Data, Matrix};
use super::ranges::blocks;
use crate::amx::{Sums, Tiles, Two};
use crate::floats::Floats;
use crate::simd::{Level, dispatch_at};
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Inner steps of a tile.
const STEPS: usize = 32;

/// Inner steps of a block: the second cache holds what they are packed as, and of the result each element
/// is read and written once in so many steps.
const DEPTH: usize = 1024;

/// Rows of `A`, or columns of `B`, of two tiles.
const LINES: usize = 32;

/// Lines of one tile.
const TILE_LINES: usize = 16;

/// Parts of a float32.
const MOST_PARTS: usize = 3;

/// Whether tiles are faster: where little of them is padding, and one operand is of bf16. The six
/// products of two float32 took longer than multiply-adds (`docs/log/products.md`).
pub(super) fn takes(level: Level, (a, b): super::Term<'_>) -> bool {
    level == Level::Amx && a.columns >= STEPS && parts(a).min(parts(b)) == 1
}

/// The numbers of bf16 whose sum a number of the matrix is.
fn parts(matrix: Matrix<'_>) -> usize {
    match matrix.data {
        Data::Dense(Floats::Bf16(_)) => 1,
        Data::Dense(Floats::F16(_)) => 2,
        Data::Dense(Floats::F32(_)) | Data::Packed(_) => MOST_PARTS,
    }
}

/// The terms of a job: inner steps, and the parts of both operands.
fn terms(job: Job<'_>) -> impl Iterator<Item = (usize, [usize; 2])> {
    let terms = job.product.terms.iter().zip(job.depth);
    terms.map(|((a, b), depth)| (depth.len().div_ceil(STEPS), [parts(*a), parts(*b)]))
}

/// Products in tiles.
pub(super) struct Amx;

impl Scheme for Amx {
    const DEPTH: usize = DEPTH;
    const STEPS: usize = STEPS;

    fn unit(_: Side) -> usize {
        LINES
    }

    fn lines(_: Side, count: usize) -> usize {
        count.next_multiple_of(LINES)
    }

    fn line(job: Job<'_>, side: Side) -> usize {
        let of_term = |(steps, [a, b]): (usize, [usize; 2])| match side {
            Side::Rows => steps * a * STEPS / 2,
            Side::Columns => steps * b * STEPS / 2,
        };
        terms(job).map(of_term).sum()
    }

    fn pack(job: Job<'_>, side: Side, part: Range<usize>, to: &mut [f32]) {
        let pack = pack::Pack {
            job,
            side,
            part,
            to,
        };
        dispatch_at(job.product.level, pack);
    }

    fn multiply(job: Job<'_>, rows: Range<usize>, columns: Range<usize>, a: &[f32], b: &[f32]) {
        if let Some(tiles) = Tiles::new() {
            let multiply = Multiply {
                job,
                rows,
                columns,
                a,
                b,
                tiles,
            };
            dispatch_at(job.product.level, multiply);
        }
    }
}

/// Packed rows times packed columns, both from their first on.
struct Multiply<'a> {
    job: Job<'a>,
    rows: Range<usize>,
    columns: Range<usize>,
    a: &'a [f32],
    b: &'a [f32],
    tiles: Tiles,
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        if S::F32_LANES != TILE_LINES {
            return;
        }
        let mut sums = Sums([[0.0; LINES]; LINES]);
        let [a, b] = [Side::Rows, Side::Columns].map(|side| LINES * Amx::line(self.job, side));
        let rows = blocks(&self.rows, LINES).zip(self.a.chunks_exact(a));
        for (rows, a) in rows {
            let columns = blocks(&self.columns, LINES).zip(self.b.chunks_exact(b));
            for (columns, b) in columns {
                match rows.len() > TILE_LINES {
                    true => self.sum::<2>(a, b),
                    false => self.sum::<1>(a, b),
                }
                self.tiles.store(&mut sums);
                self.write(simd, &sums, &rows, &columns);
            }
        }
    }
}

impl Multiply<'_> {
    /// The sums of one or two tiles of rows and two of columns.
    #[inline(always)]
    fn sum<const ROW_TILES: usize>(&mut self, a: &[f32], b: &[f32]) {
        self.tiles.clear();
        let (mut a, mut b) = (a.as_chunks().0, b.as_chunks().0);
        for (steps, [a_parts, b_parts]) in terms(self.job) {
            let of_term = (a.split_at(steps * a_parts), b.split_at(steps * b_parts));
            let steps = of_term.0.0.chunks(a_parts).zip(of_term.1.0.chunks(b_parts));
            for (a, b) in steps {
                self.add_step::<ROW_TILES>(a, b);
            }
            (a, b) = (of_term.0.1, of_term.1.1);
        }
    }

    /// The products of all parts that count.
    #[inline(always)]
    fn add_step<const ROW_TILES: usize>(&mut self, a: &[Two], b: &[Two]) {
        for (j, b) in b.iter().enumerate() {
            self.tiles.load_columns(b);
            for a in a.iter().take(MOST_PARTS - j) {
                self.tiles.load_rows(a);
                self.tiles.multiply::<ROW_TILES>();
            }
        }
    }

    #[inline(always)]
    fn write<S: Simd>(&self, simd: S, sums: &Sums, rows: &Range<usize>, columns: &Range<usize>) {
        let output = &self.job.product.output;
        for (row, sums) in rows.clone().zip(&sums.0) {
            let place = self.job.place(row, columns.start);
            if let Some((sums, _)) = S::as_simd_f32s(sums).0.split_first_chunk::<2>() {
                output.write(simd, &[*sums], place);
            }
        }
    }
}
