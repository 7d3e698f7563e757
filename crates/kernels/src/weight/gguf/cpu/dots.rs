//! A few rows times the matrix, such as a token: dot products with each run of numbers while it is in
//! registers.

use super::OnHost;
use super::scales::{Scales, codes};
use crate::weight::FewRows;
use crate::weight::gguf::BlockType;
use crate::weight::gguf::blocks::{Block, MOST_PARTS, RUN, by_type};
use metal_candle_cpu::simd::{Cache, dispatch, prefetch, vectorize};
use pulp::{Simd, WithSimd};
use std::marker::PhantomData;
use std::ops::Range;

/// Rows of `x` that share each number of the matrix while it is in a register.
const MOST_ROWS: usize = 4;

/// Bytes that are asked for ahead of their use, as many as for the affine format (docs/log/packed.md).
const AHEAD: usize = 2048;

/// A row of `x` by runs.
struct Row {
    numbers: Vec<[f32; RUN]>,
    /// Sums of the parts of runs.
    sums: Vec<f32>,
}

impl Row {
    fn new<B: Block>(x: &[f32]) -> Self {
        let parts = x.chunks_exact(RUN / B::PARTS);
        Self {
            numbers: x.as_chunks().0.to_vec(),
            sums: parts.map(|part| part.iter().sum()).collect(),
        }
    }
}

/// A few rows, ready to be multiplied with the matrix.
struct Prepared<'a> {
    bytes: &'a [u8],
    width: usize,
    block: BlockType,
    x: Vec<Row>,
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
        x: by_type!(matrix.block, B => x.iter().map(|x| Row::new::<B>(x)).collect()),
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
            1 => vectorize(simd, OfSize::<B, 1>(self, PhantomData)),
            2 => vectorize(simd, OfSize::<B, 2>(self, PhantomData)),
            _ => vectorize(simd, OfSize::<B, MOST_ROWS>(self, PhantomData)),
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
        // Where there are fewer rows, the last one again: its products are dropped.
        let given = &self.matrix.x;
        let mut x = [&given[given.len() - 1]; MR];
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
fn dots<S: Simd, B: Block, const MR: usize>(simd: S, row: &[u8], x: [&Row; MR]) -> [f32; MR] {
    let mut totals = [Totals::new(simd); MR];
    let per_block = B::NUMBERS / RUN;
    for (index, block) in row.chunks_exact(B::BYTES).enumerate() {
        prefetch(block.as_ptr().wrapping_add(AHEAD), Cache::First);
        let scales = Scales::of::<S, B>(simd, block);
        for run in 0..per_block {
            let codes = codes::<S, B>(simd, block, run);
            for i in 0..MR {
                let of_row = index * per_block + run;
                totals[i].add::<B>(simd, &codes, &scales, run, x[i], of_row);
            }
        }
    }
    let mut dots = [0.0; MR];
    for (dot, totals) in dots.iter_mut().zip(totals) {
        *dot = totals.sum(simd);
    }
    dots
}

/// Sums of a dot product: of scaled codes by lanes, and of offsets, of either part of runs.
#[derive(Clone, Copy)]
struct Totals<S: Simd> {
    scaled: [S::f32s; MOST_PARTS],
    offset: [f32; MOST_PARTS],
}

impl<S: Simd> Totals<S> {
    #[inline(always)]
    fn new(simd: S) -> Self {
        Self {
            scaled: [simd.splat_f32s(0.0); MOST_PARTS],
            offset: [0.0; MOST_PARTS],
        }
    }

    /// Adds the products of run `run` of a block with run `of_row` of `x`.
    #[inline(always)]
    fn add<B: Block>(
        &mut self,
        simd: S,
        codes: &[f32; RUN],
        scales: &Scales,
        run: usize,
        x: &Row,
        of_row: usize,
    ) {
        let (codes, numbers) = (
            S::as_simd_f32s(codes).0,
            S::as_simd_f32s(&x.numbers[of_row]).0,
        );
        let registers = RUN / S::F32_LANES / B::PARTS;
        for part in 0..B::PARTS {
            let first = part * registers;
            let mut sum = simd.mul_f32s(codes[first], numbers[first]);
            for i in first + 1..first + registers {
                sum = simd.mul_add_e_f32s(codes[i], numbers[i], sum);
            }
            let (scale, offset) = scales.part(run * B::PARTS + part);
            let scale = simd.splat_f32s(scale);
            self.scaled[part] = simd.mul_add_e_f32s(sum, scale, self.scaled[part]);
            if B::OFFSETS {
                self.offset[part] += offset * x.sums[of_row * B::PARTS + part];
            }
        }
    }

    #[inline(always)]
    fn sum(self, simd: S) -> f32 {
        let ([a, b], [c, d]) = (self.scaled, self.offset);
        simd.reduce_sum_f32s(simd.add_f32s(a, b)) + (c + d)
    }
}
