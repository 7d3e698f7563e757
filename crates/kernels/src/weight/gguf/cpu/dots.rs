//! A few rows times the matrix, such as a token: dot products with each run of numbers while it is in
//! registers.

use super::OnHost;
use crate::weight::FewRows;
use crate::weight::gguf::BlockType;
use crate::weight::gguf::blocks::{Block, RUN, by_type};
use metal_candle_cpu::simd::{Cache, dispatch, prefetch};
use pulp::{Simd, WithSimd};
use std::marker::PhantomData;
use std::ops::Range;

/// Rows of `x` that share each number of the matrix while it is in a register.
const MOST_ROWS: usize = 4;

/// Bytes that are asked for ahead of their use, as many as for the affine format (docs/log/packed.md).
const AHEAD: usize = 2048;

/// Runs of a row of `x`.
type Runs = Vec<[f32; RUN]>;

/// A few rows, ready to be multiplied with the matrix.
struct Prepared<'a> {
    bytes: &'a [u8],
    width: usize,
    block: BlockType,
    x: Vec<Runs>,
}

/// Rows as runs, where they are few enough.
pub(super) fn prepare<'a>(matrix: &'a OnHost<'_>, x: &[Vec<f32>]) -> Option<Box<dyn FewRows + 'a>> {
    if x.len() > MOST_ROWS {
        return None;
    }
    Some(Box::new(Prepared {
        bytes: matrix.bytes.bytes(),
        width: matrix.width,
        block: matrix.block,
        x: x.iter().map(|x| x.as_chunks().0.to_vec()).collect(),
    }))
}

impl FewRows for Prepared<'_> {
    fn products(&self, rows: Range<usize>, to: &mut [f32]) {
        let bytes = &self.bytes[rows.start * self.width..rows.end * self.width];
        dispatch(Dots {
            matrix: self,
            bytes,
            to,
        });
    }
}

/// Dot products of all of `x` with some rows of the matrix.
struct Dots<'a> {
    matrix: &'a Prepared<'a>,
    bytes: &'a [u8],
    /// Products of every row of `x`, one after the other.
    to: &'a mut [f32],
}

impl WithSimd for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        by_type!(self.matrix.block, B => self.by_count::<S, B>(simd));
    }
}

impl Dots<'_> {
    #[inline(always)]
    fn by_count<S: Simd, B: Block>(self, simd: S) {
        match self.matrix.x.len() {
            1 => simd.vectorize(OfSize::<B, 1>(self, PhantomData)),
            2 => simd.vectorize(OfSize::<B, 2>(self, PhantomData)),
            _ => simd.vectorize(OfSize::<B, MOST_ROWS>(self, PhantomData)),
        }
    }
}

/// Products whose type and rows the compiler knows: of each choice a function of its own.
struct OfSize<'a, B, const MR: usize>(Dots<'a>, PhantomData<B>);

impl<B: Block, const MR: usize> WithSimd for OfSize<'_, B, MR> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.0.all::<S, B, MR>(simd);
    }
}

impl Dots<'_> {
    #[inline(always)]
    fn all<S: Simd, B: Block, const MR: usize>(self, simd: S) {
        // Where there are fewer rows, the last ones again: their products are dropped.
        let given = &self.matrix.x;
        let mut x = [&given[given.len() - 1][..]; MR];
        for (to, x) in x.iter_mut().zip(given) {
            *to = x;
        }
        let width = self.matrix.width.max(1);
        let n_rows = self.bytes.len() / width;
        for (j, row) in self.bytes.chunks_exact(width).enumerate() {
            let dots = dots::<S, B, MR>(simd, row, x);
            for (to, dot) in self.to[j..].iter_mut().step_by(n_rows).zip(dots) {
                *to = dot;
            }
        }
    }
}

/// Dot products of rows with one of the matrix.
#[inline(always)]
fn dots<S: Simd, B: Block, const MR: usize>(
    simd: S,
    row: &[u8],
    x: [&[[f32; RUN]]; MR],
) -> [f32; MR] {
    let per_block = B::NUMBERS / RUN;
    let mut sums = [[0.0_f32; RUN]; MR];
    for (index, block) in row.chunks_exact(B::BYTES).enumerate() {
        prefetch(block.as_ptr().wrapping_add(AHEAD), Cache::First);
        for run in 0..per_block {
            let mut numbers = [0.0; RUN];
            B::run(block, run, &mut numbers);
            for (sums, x) in sums.iter_mut().zip(x) {
                add_products(simd, sums, &numbers, &x[index * per_block + run]);
            }
        }
    }
    let mut dots = [0.0; MR];
    for (dot, sums) in dots.iter_mut().zip(&sums) {
        let mut total = simd.splat_f32s(0.0);
        for &sum in S::as_simd_f32s(sums).0 {
            total = simd.add_f32s(total, sum);
        }
        *dot = simd.reduce_sum_f32s(total);
    }
    dots
}

#[inline(always)]
fn add_products<S: Simd>(simd: S, sums: &mut [f32; RUN], a: &[f32; RUN], b: &[f32; RUN]) {
    let (a, b) = (S::as_simd_f32s(a).0, S::as_simd_f32s(b).0);
    let sums = S::as_mut_simd_f32s(sums).0;
    for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
        *sum = simd.mul_add_e_f32s(a, b, *sum);
    }
}
