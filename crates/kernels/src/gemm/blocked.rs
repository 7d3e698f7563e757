//! Large products, in blocks that fit the caches (Goto and van de Geijn 2008,
//! <https://doi.org/10.1145/1356052.1356053>).

use super::matrix::{Data, Matrix};
use super::output::Place;
use super::pack::Panels;
use super::tile::Rows;
use super::{DEPTH, PACKED_ROW, Product, Term, Then, pack, tile};
use crate::simd::dispatch_at;
use pulp::{Simd, WithSimd};
use std::cell::RefCell;
use std::ops::Range;

/// Columns of `B` that are packed together: with [`PACKED_ROW`], 800 KiB of a core's second cache.
const BLOCK_COLUMNS: usize = 512;

/// Rows of `A` that are packed together: with [`PACKED_ROW`], 350 KiB of the same.
const BLOCK_ROWS: usize = 224;

/// Rows up to which `B` is read as it is stored: it would be packed to be used once.
const STREAMED_ROWS: usize = 14;

/// Rows of `B` that are read together, each from its own place in memory.
const STREAMS: usize = 16;

pub(super) fn streams(a: Matrix<'_>, b: Matrix<'_>) -> bool {
    a.rows <= STREAMED_ROWS && matches!(b.data, Data::F32(_)) && b.has_dense_rows()
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

/// Computes a part of a product.
pub(super) fn run(product: &Product<'_>, rows: Range<usize>, columns: Range<usize>) {
    PACKED.with_borrow_mut(|packed| {
        packed.a.resize(BLOCK_ROWS, [0.0; PACKED_ROW]);
        packed.b.resize(BLOCK_COLUMNS * PACKED_ROW, 0.0);
        let part = Part {
            product,
            rows,
            columns,
            packed,
        };
        dispatch_at(product.level, part);
    });
}

/// A part of the result, and memory to work in. Nothing but this is compiled for a level: a closure
/// in between would not be.
struct Part<'a> {
    product: &'a Product<'a>,
    rows: Range<usize>,
    columns: Range<usize>,
    packed: &'a mut Packed,
}

impl WithSimd for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        if let (
            a,
            Matrix {
                data: Data::F32(data),
                ..
            },
        ) = self.product.terms[0]
            && streams(a, self.product.terms[0].1)
        {
            return self.stream(simd, data);
        }
        for columns in blocks(&self.columns, BLOCK_COLUMNS) {
            for depth in depths(self.product.terms) {
                self.pack_columns(simd, &columns, &depth);
                for rows in blocks(&self.rows, BLOCK_ROWS) {
                    self.pack_rows(&rows, &depth);
                    self.multiply_block(simd, &rows, &columns, &depth);
                }
            }
        }
    }
}

/// Steps of the inner dimension of each of two terms.
type Depth = [Range<usize>; 2];

/// Blocks of the inner dimension. The last of the first term takes the second term along where
/// there is room. One without a step where there is none, whose sums are zero.
fn depths(terms: &[Term<'_>]) -> impl Iterator<Item = Depth> + use<> {
    let first = terms[0].0.columns;
    let second = terms.get(1).map_or(0, |(a, _)| a.columns);
    let count = first.div_ceil(DEPTH).max(1);
    let last = first - (count - 1) * DEPTH;
    let taken = if last + second <= PACKED_ROW {
        second
    } else {
        0
    };
    let of_first = (0..count).map(move |i| {
        let is_last = i + 1 == count;
        let end = first.min((i + 1) * DEPTH);
        [i * DEPTH..end, 0..if is_last { taken } else { 0 }]
    });
    let rest = blocks(&(taken..second), DEPTH).map(move |range| [first..first, range]);
    of_first.chain(rest)
}

fn steps(depth: &Depth) -> usize {
    depth[0].len() + depth[1].len()
}

impl Part<'_> {
    #[inline(always)]
    fn pack_columns<S: Simd>(&mut self, simd: S, columns: &Range<usize>, depth: &Depth) {
        let mut first = 0;
        for ((_, b), range) in self.product.terms.iter().zip(depth) {
            let to = Panels {
                data: &mut self.packed.b,
                steps: steps(depth),
                first,
            };
            pack::columns(simd, *b, columns, range, to);
            first += range.len();
        }
    }

    #[inline(always)]
    fn pack_rows(&mut self, rows: &Range<usize>, depth: &Depth) {
        let mut first = 0;
        for ((a, _), range) in self.product.terms.iter().zip(depth) {
            pack::rows(*a, rows.clone(), range.clone(), first, &mut self.packed.a);
            first += range.len();
        }
    }

    #[inline(always)]
    fn multiply_block<S: Simd>(
        &self,
        simd: S,
        rows: &Range<usize>,
        columns: &Range<usize>,
        depth: &Depth,
    ) {
        let (all, _) = S::as_simd_f32s(&self.packed.b);
        for part in even_parts(rows, tile::most_rows::<S>()) {
            let a = &self.packed.a[part.start - rows.start..part.end - rows.start];
            let mut b = all;
            for panel in blocks(columns, 2 * S::F32_LANES) {
                let vectors = panel.len().div_ceil(S::F32_LANES);
                let (panel_b, rest) = b.split_at(vectors * steps(depth));
                b = rest;
                let place = self.place(part.start, panel.start, depth);
                if vectors == 2 {
                    tile::multiply::<S, 2>(simd, a, panel_b, &self.product.output, place);
                } else {
                    tile::multiply::<S, 1>(simd, a, panel_b, &self.product.output, place);
                }
            }
        }
    }

    #[inline(always)]
    fn place(&self, row: usize, column: usize, depth: &Depth) -> Place {
        let is_first = depth[0].start == 0 && (depth[1].start == 0 || depth[1].is_empty());
        let then = if is_first {
            self.product.then
        } else {
            Then::Add
        };
        Place { row, column, then }
    }

    /// A few rows of `B` at a time, as they are stored. The last columns, less than a panel, are
    /// packed.
    #[inline(always)]
    fn stream<S: Simd>(&mut self, simd: S, data: &[f32]) {
        let (a, b) = self.product.terms[0];
        let panel = 2 * S::F32_LANES;
        let whole = self.columns.start..self.columns.end - self.columns.len() % panel;
        for depth in (0..a.columns.max(1)).step_by(STREAMS) {
            let depth = [depth..a.columns.min(depth + STREAMS), 0..0];
            self.pack_rows(&(0..a.rows), &depth);
            for rows in even_parts(&(0..a.rows), tile::most_rows::<S>()) {
                for columns in blocks(&whole, panel) {
                    let start = depth[0].start * b.row_stride + columns.start;
                    let b = Rows {
                        data: data.get(start..).unwrap_or(&[]),
                        stride: b.row_stride,
                        count: depth[0].len(),
                    };
                    let place = self.place(rows.start, columns.start, &depth);
                    tile::multiply_stored(
                        simd,
                        &self.packed.a[rows.clone()],
                        b,
                        &self.product.output,
                        place,
                    );
                }
            }
            let rest = whole.end..self.columns.end;
            self.pack_columns(simd, &rest, &depth);
            self.multiply_block(simd, &(0..a.rows), &rest, &depth);
        }
    }
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
