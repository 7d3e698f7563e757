//! Copies of a block of each operand as tiles of pairs of bf16. A pair is the inner steps `p` and
//! `p + 16` of 32, so that pairs are made lane by lane: `tile[row][pair]` of `A`, `tile[pair][column]`
//! of `B`. Parts of the same numbers lie behind each other, the largest first.

use super::{LINES, STEPS, TILE_LINES, parts, terms};
use crate::amx::TILE;
use crate::floats::{Element, Floats, ask_for};
use crate::gemm::blocked::{Job, Side};
use crate::gemm::matrix::{Data, Matrix};
use crate::gemm::pack::{UNPACKED, lines, reaches};
use crate::gemm::ranges::blocks;
use crate::gemm::transpose::transposed;
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Inner steps between what is packed and what is asked for.
const AHEAD: usize = 4 * STEPS;

/// Sixteen numbers or pairs, a register.
type Vector = [f32; TILE_LINES];

/// A tile of them.
type Vectors = [Vector; TILE_LINES];

/// A part of an side, packed where it goes.
pub(super) struct Pack<'a> {
    pub(super) job: Job<'a>,
    pub(super) side: Side,
    pub(super) part: Range<usize>,
    pub(super) to: &'a mut [f32],
}

impl WithSimd for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if S::F32_LANES != TILE_LINES {
            return;
        }
        let line = <super::Amx as super::Scheme>::line(self.job, self.side);
        let panels = blocks(&self.part, LINES).zip(self.to.chunks_exact_mut(LINES * line));
        for (lines, mut to) in panels {
            let of_terms = self.job.product.terms.iter().zip(self.job.depth);
            for (((a, b), depth), (steps, _)) in of_terms.zip(terms(self.job)) {
                // Lines are rows of this.
                let matrix = match self.side {
                    Side::Rows => *a,
                    Side::Columns => b.transposed(),
                };
                let (of_term, rest) = to.split_at_mut(LINES * steps * parts(matrix) * STEPS / 2);
                panel(simd, matrix, (&lines, depth), self.side, of_term);
                to = rest;
            }
        }
    }
}

/// Packs at most [`LINES`] rows of a matrix.
#[inline(always)]
fn panel<S: Simd>(
    simd: S,
    matrix: Matrix<'_>,
    (lines, depth): (&Range<usize>, &Range<usize>),
    side: Side,
    to: &mut [f32],
) {
    match matrix.data {
        Data::Dense(Floats::F32(data)) => {
            Panel::new(data, matrix, (lines, depth), side).pack::<S, 3>(simd, to);
        }
        Data::Dense(Floats::F16(data)) => {
            Panel::new(data, matrix, (lines, depth), side).pack::<S, 2>(simd, to);
        }
        Data::Dense(Floats::Bf16(data)) => {
            Panel::new(data, matrix, (lines, depth), side).pack::<S, 1>(simd, to);
        }
        Data::Packed(packed) => {
            let mut memory = UNPACKED.take();
            let (data, block) = matrix.unpacked(packed, (lines, depth), &mut memory);
            let all = (&(0..lines.len()), &(0..depth.len()));
            Panel::new(data, block, all, side).pack::<S, 3>(simd, to);
            UNPACKED.set(memory);
        }
    }
}

/// Rows of a matrix, and the steps of each that are packed.
struct Panel<'a, E> {
    /// From the first of both on.
    data: &'a [E],
    lines: usize,
    steps: usize,
    line_stride: usize,
    step_stride: usize,
    side: Side,
}

impl<'a, E: Element> Panel<'a, E> {
    #[inline(always)]
    fn new(
        data: &'a [E],
        matrix: Matrix<'_>,
        (lines, depth): (&Range<usize>, &Range<usize>),
        side: Side,
    ) -> Self {
        let start = lines.start * matrix.row_stride + depth.start * matrix.column_stride;
        Self {
            data: data.get(start..).unwrap_or(&[]),
            lines: lines.len(),
            steps: depth.len(),
            line_stride: matrix.row_stride,
            step_stride: matrix.column_stride,
            side,
        }
    }

    /// Two tiles for each part of each block of steps.
    #[inline(always)]
    fn pack<S: Simd, const P: usize>(&self, simd: S, to: &mut [f32]) {
        let (tiles, _) = to.as_chunks_mut::<TILE>();
        let steps = (0..self.steps).step_by(STEPS);
        for (step, tiles) in steps.zip(tiles.chunks_exact_mut(2 * P)) {
            for (half, line) in [0, TILE_LINES].into_iter().enumerate() {
                match step + AHEAD < self.steps {
                    true => self.ask_for(line, step + AHEAD),
                    false => self.ask_for(line + LINES, step + AHEAD - self.steps),
                }
                let (mut low, mut high) = self.halves(line, step);
                for part in 0..P {
                    let pairs = next_pairs(simd, &mut low, &mut high);
                    let to = tiles[2 * part + half].as_chunks_mut().0;
                    match self.is_transposed() {
                        true => to.copy_from_slice(&transposed(simd, &pairs)),
                        false => to.copy_from_slice(&pairs),
                    }
                }
            }
        }
    }

    /// Asks for a tile to be in the first cache: so many lines in turn are more than the processor foresees.
    #[inline(always)]
    fn ask_for(&self, line: usize, step: usize) {
        let first = line * self.line_stride + step * self.step_stride;
        let (stride, count, len) = match self.has_dense_lines() {
            true => (self.step_stride, STEPS, TILE_LINES),
            false => (self.line_stride, TILE_LINES, STEPS),
        };
        for first in (first..self.data.len()).step_by(stride.max(1)).take(count) {
            ask_for(self.data, first..first + len);
        }
    }

    /// Lines lie densely, not steps: vectors are of lines.
    #[inline(always)]
    fn has_dense_lines(&self) -> bool {
        self.line_stride == 1 && self.step_stride != 1
    }

    #[inline(always)]
    fn is_transposed(&self) -> bool {
        match self.side {
            Side::Rows => self.has_dense_lines(),
            Side::Columns => !self.has_dense_lines(),
        }
    }

    /// The numbers of a tile in the order of the matrix: the first of each pair, and the second. Lines
    /// that the matrix does not have are any numbers: nobody reads their sums.
    #[inline(always)]
    fn halves(&self, line: usize, step: usize) -> (Vectors, Vectors) {
        let first = line * self.line_stride + step * self.step_stride;
        let data = self.data.get(first..).unwrap_or(&[]);
        let last = self.lines.saturating_sub(line).min(TILE_LINES);
        let (stride, second, count) = match self.has_dense_lines() {
            true => (self.step_stride, TILE_LINES * self.step_stride, TILE_LINES),
            false => (self.line_stride, TILE_LINES, last),
        };
        let is_dense = self.has_dense_lines() || self.step_stride == 1;
        let is_whole = is_dense
            && step + STEPS <= self.steps
            && count > 0
            && data.len() > second
            && reaches(&data[second..], stride, count);
        match is_whole {
            true => (
                lines(data, stride, count),
                lines(&data[second..], stride, count),
            ),
            false => self.some_halves(line, step),
        }
    }

    /// Numbers of a tile where not all of them are there, or none lie side by side.
    #[inline(always)]
    fn some_halves(&self, line: usize, step: usize) -> (Vectors, Vectors) {
        let mut low = [[0.0; TILE_LINES]; TILE_LINES];
        let mut high = low;
        for (i, (low, high)) in low.iter_mut().zip(&mut high).enumerate() {
            for (k, (low, high)) in low.iter_mut().zip(high).enumerate() {
                let (line, step) = match self.has_dense_lines() {
                    true => (line + k, step + i),
                    false => (line + i, step + k),
                };
                *low = self.number(line, step);
                *high = self.number(line, step + TILE_LINES);
            }
        }
        (low, high)
    }

    /// A number, or zero where there is none.
    #[inline(always)]
    fn number(&self, line: usize, step: usize) -> f32 {
        match line < self.lines && step < self.steps {
            true => self.data[line * self.line_stride + step * self.step_stride].widen(),
            false => 0.0,
        }
    }
}

/// The next parts of a tile, two by two. Registers, not arrays: loops over these are compiled across
/// vectors, with gathers.
#[inline(always)]
fn next_pairs<S: Simd>(simd: S, low: &mut Vectors, high: &mut Vectors) -> Vectors {
    let mut pairs = [[0.0; TILE_LINES]; TILE_LINES];
    let to = S::as_mut_simd_f32s(pairs.as_flattened_mut()).0;
    let low = S::as_mut_simd_f32s(low.as_flattened_mut()).0;
    let high = S::as_mut_simd_f32s(high.as_flattened_mut()).0;
    let half = simd.splat_u32s(16);
    for ((pairs, low), high) in to.iter_mut().zip(low).zip(high) {
        let (low, high) = (next_part(simd, low), next_part(simd, high));
        let low = simd.wrapping_dyn_shr_u32s(low, half);
        *pairs = simd.transmute_f32s_u32s(simd.or_u32s(low, high));
    }
    pairs
}

/// The largest bf16 of each number that is not larger, in the upper half, which is taken from the
/// number. Nothing is left of infinity.
#[inline(always)]
fn next_part<S: Simd>(simd: S, numbers: &mut S::f32s) -> S::u32s {
    let x = *numbers;
    let part = simd.and_u32s(simd.transmute_u32s_f32s(x), simd.splat_u32s(0xffff_0000));
    let rest = simd.sub_f32s(x, simd.transmute_f32s_u32s(part));
    let is_infinite = simd.equal_f32s(simd.abs_f32s(x), simd.splat_f32s(f32::INFINITY));
    *numbers = simd.select_f32s(is_infinite, simd.splat_f32s(0.0), rest);
    part
}
