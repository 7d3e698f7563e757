//! Large products, in blocks that fit the caches (Goto and van de Geijn 2008,
//! <https://doi.org/10.1145/1356052.1356053>).

use super::matrix::Matrix;
use super::output::{Output, Place};
use super::{DEPTH, PACKED_ROW, Then, pack, tile};
use crate::simd::{Level, dispatch_at};
use pulp::{Simd, WithSimd};
use std::cell::RefCell;
use std::ops::Range;

/// Columns of `B` that are packed together: with [`DEPTH`], 512 KiB of a core's second cache.
const BLOCK_COLUMNS: usize = 512;

/// Rows of `A` that are packed together: with [`DEPTH`], 243 KiB of the same.
const BLOCK_ROWS: usize = 224;

/// A part of the result, computed by one thread.
pub(super) struct Part<'a> {
    pub(super) a: Matrix<'a>,
    pub(super) b: Matrix<'a>,
    pub(super) output: Output<'a>,
    pub(super) then: Then,
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
}

/// Packed operands; every thread keeps its own, and their memory, for all its products.
#[derive(Default)]
struct Packed {
    a: Vec<[f32; PACKED_ROW]>,
    b: Vec<f32>,
}

thread_local! {
    static PACKED: RefCell<Packed> = RefCell::default();
}

impl Part<'_> {
    /// Computes the part at `level`.
    pub(super) fn run(&self, level: Level) {
        PACKED.with_borrow_mut(|packed| {
            packed.a.resize(BLOCK_ROWS, [0.0; PACKED_ROW]);
            packed.b.resize(BLOCK_COLUMNS * DEPTH, 0.0);
            dispatch_at(level, Run { part: self, packed });
        });
    }
}

/// A part with memory to work in. Nothing but this is compiled for a level: a closure in between
/// would not be.
struct Run<'a> {
    part: &'a Part<'a>,
    packed: &'a mut Packed,
}

impl WithSimd for Run<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.part.multiply(simd, self.packed);
    }
}

impl Part<'_> {
    #[inline(always)]
    fn multiply<S: Simd>(&self, simd: S, packed: &mut Packed) {
        for columns in blocks(&self.columns, BLOCK_COLUMNS) {
            for depth in depths(self.a.columns) {
                pack::columns(simd, self.b, &columns, &depth, &mut packed.b);
                for rows in blocks(&self.rows, BLOCK_ROWS) {
                    pack::rows(self.a, rows.clone(), depth.clone(), &mut packed.a);
                    self.multiply_block(simd, packed, &rows, &columns, &depth);
                }
            }
        }
    }

    #[inline(always)]
    fn multiply_block<S: Simd>(
        &self,
        simd: S,
        packed: &Packed,
        rows: &Range<usize>,
        columns: &Range<usize>,
        depth: &Range<usize>,
    ) {
        let (all, _) = S::as_simd_f32s(&packed.b);
        let then = if depth.start == 0 {
            self.then
        } else {
            Then::Add
        };
        for part in even_parts(rows, tile::most_rows::<S>()) {
            let a = &packed.a[part.start - rows.start..part.end - rows.start];
            let mut b = all;
            for panel in blocks(columns, 2 * S::F32_LANES) {
                let vectors = panel.len().div_ceil(S::F32_LANES);
                let (panel_b, rest) = b.split_at(vectors * depth.len());
                b = rest;
                let place = Place {
                    row: part.start,
                    column: panel.start,
                    then,
                };
                if vectors == 2 {
                    tile::multiply::<S, 2>(simd, a, panel_b, &self.output, place);
                } else {
                    tile::multiply::<S, 1>(simd, a, panel_b, &self.output, place);
                }
            }
        }
    }
}

/// Blocks of the inner dimension; one without a step where there is none, whose sums are zero.
fn depths(size: usize) -> impl Iterator<Item = Range<usize>> {
    let count = size.div_ceil(DEPTH).max(1);
    (0..count).map(move |i| i * DEPTH..size.min((i + 1) * DEPTH))
}

/// Consecutive parts of `size`, the last one smaller.
pub(super) fn blocks(
    range: &Range<usize>,
    size: usize,
) -> impl Iterator<Item = Range<usize>> + use<> {
    let end = range.end;
    let starts = range.clone().step_by(size);
    starts.map(move |start| start..end.min(start + size))
}

/// As few parts of at most `size` as there can be, about equally large.
fn even_parts(range: &Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> + use<> {
    let (start, len) = (range.start, range.len());
    let count = len.div_ceil(size);
    (0..count).map(move |i| start + len * i / count..start + len * (i + 1) / count)
}
