//! Copies of a block of each operand in the order in which the tile reads them, in float32.

use super::blocked::Side;
use super::matrix::{Data, Matrix};
use super::ranges::blocks;
use super::tile;
use super::transpose::{BLOCK, transposed};
use crate::floats::{Element, Floats};
use pulp::{Simd, WithSimd};
use std::cell::Cell;
use std::ops::Range;

thread_local! {
    /// Part of a packed matrix that this thread is about to copy.
    pub(super) static UNPACKED: Cell<Vec<f32>> = Cell::default();
}

/// A part of one row of `A`.
#[inline(always)]
pub(super) fn row(a: Matrix<'_>, row: usize, depth: &Range<usize>) -> Vec<f32> {
    let mut to = vec![0.0; depth.len()];
    match a.data {
        Data::Dense(Floats::F32(data)) => row_of(data, a, row, depth, &mut to),
        Data::Dense(Floats::F16(data)) => row_of(data, a, row, depth, &mut to),
        Data::Dense(Floats::Bf16(data)) => row_of(data, a, row, depth, &mut to),
        Data::Packed(packed) => {
            a.unpacked(packed, (&(row..row + 1), depth), &mut to);
        }
    }
    to
}

#[inline(always)]
fn row_of<E: Element>(data: &[E], a: Matrix<'_>, row: usize, depth: &Range<usize>, to: &mut [f32]) {
    let start = row * a.row_stride + depth.start * a.column_stride;
    if a.has_dense_rows() {
        return E::widen_all(&data[start..start + depth.len()], to);
    }
    for (k, to) in to.iter_mut().enumerate() {
        *to = data[start + k * a.column_stride].widen();
    }
}

/// Memory that a block goes to: tiles or panels of `steps` inner steps, of which those from `first` on are
/// written.
pub(super) struct Target<'a> {
    pub(super) data: &'a mut [f32],
    pub(super) steps: usize,
    pub(super) first: usize,
}

/// Rows of `A` as tiles, or columns of `B` as panels. Whatever is packed is copied by one function, which a
/// packed matrix calls with the parts that were unpacked.
#[inline(always)]
pub(super) fn copy<S: Simd>(
    simd: S,
    side: Side,
    matrix: Matrix<'_>,
    lines: &Range<usize>,
    depth: &Range<usize>,
    mut to: Target<'_>,
) {
    let Data::Packed(packed) = matrix.data else {
        let (lines, depth) = (lines.clone(), depth.clone());
        return simd.vectorize(Copy {
            side,
            matrix,
            lines,
            depth,
            to,
        });
    };
    let unit = match side {
        Side::Rows => tile::UNIT_ROWS,
        Side::Columns => tile::UNIT_COLUMNS,
    };
    let mut memory = UNPACKED.take();
    for part in blocks(lines, unit) {
        let sizes = match side {
            Side::Rows => (&part, depth),
            Side::Columns => (depth, &part),
        };
        let (_, matrix) = matrix.unpacked(packed, sizes, &mut memory);
        simd.vectorize(Copy {
            side,
            matrix,
            lines: 0..part.len(),
            depth: 0..depth.len(),
            to: to.after_lines(part.start - lines.start),
        });
    }
    UNPACKED.set(memory);
}

/// A copy of some rows or columns of a matrix that is read number by number.
struct Copy<'a> {
    side: Side,
    matrix: Matrix<'a>,
    lines: Range<usize>,
    depth: Range<usize>,
    to: Target<'a>,
}

impl WithSimd for Copy<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.matrix.data {
            Data::Dense(Floats::F32(data)) => self.from(simd, data),
            Data::Dense(Floats::F16(data)) => self.from(simd, data),
            Data::Dense(Floats::Bf16(data)) => self.from(simd, data),
            Data::Packed(_) => {}
        }
    }
}

impl Copy<'_> {
    #[inline(always)]
    fn from<S: Simd, E: Element>(self, simd: S, data: &[E]) {
        let Self { matrix, to, .. } = self;
        match self.side {
            Side::Rows => rows_of(simd, data, matrix, &self.lines, &self.depth, to),
            Side::Columns => columns_of(simd, data, matrix, &self.lines, &self.depth, to),
        }
    }
}

/// Rows of `A` as tiles: `tile[k * rows + row]`.
#[inline(always)]
fn rows_of<S: Simd, E: Element>(
    simd: S,
    data: &[E],
    a: Matrix<'_>,
    rows: &Range<usize>,
    depth: &Range<usize>,
    to: Target<'_>,
) {
    for tile in tile::rows::<S>(rows) {
        let start = (tile.start - rows.start) * to.steps + tile.len() * to.first;
        let to = &mut to.data[start..][..tile.len() * depth.len()];
        for steps in blocks(depth, BLOCK) {
            let to = &mut to[(steps.start - depth.start) * tile.len()..];
            part_of_tile(simd, data, a, (&tile, &steps), to);
        }
    }
}

/// At most [`BLOCK`] steps of a tile.
#[inline(always)]
fn part_of_tile<S: Simd, E: Element>(
    simd: S,
    data: &[E],
    a: Matrix<'_>,
    (rows, steps): (&Range<usize>, &Range<usize>),
    to: &mut [f32],
) {
    let data = &data[rows.start * a.row_stride + steps.start * a.column_stride..];
    let (rows, steps) = (rows.len(), steps.len());
    if a.row_stride == 1 && reaches(data, a.column_stride, steps) {
        let block = lines(data, a.column_stride, steps);
        store_overlapping(&block, rows, steps, to);
    } else if a.has_dense_rows() && reaches(data, a.row_stride, rows) {
        let block = lines(data, a.row_stride, rows);
        store_overlapping(&transposed(simd, &block), rows, steps, to);
    } else {
        copy_elements(data, a.transposed(), (steps, rows), rows, to);
    }
}

/// Whether a whole block lies at the start of each of so many lines; of the last ones it may not.
#[inline(always)]
pub(super) fn reaches<E>(data: &[E], stride: usize, lines: usize) -> bool {
    (lines - 1) * stride + BLOCK <= data.len()
}

/// The first elements of each of `count` lines in float32, the last one repeated: a loop of a known
/// length leaves them in registers. Not `array::from_fn`, which is not compiled for a level.
#[inline(always)]
pub(super) fn lines<E: Element>(data: &[E], stride: usize, count: usize) -> [[f32; BLOCK]; BLOCK] {
    let mut lines = [[0.0; BLOCK]; BLOCK];
    for (i, line) in lines.iter_mut().enumerate() {
        if let Some(block) = data[i.min(count - 1) * stride..].first_chunk() {
            *line = E::widen_block(block);
        }
    }
    lines
}

/// `count` rows of `width`, each written with what follows it where `to` has room: whatever comes
/// next overwrites that.
#[inline(always)]
fn store_overlapping(rows: &[[f32; BLOCK]; BLOCK], width: usize, count: usize, to: &mut [f32]) {
    for (k, row) in rows.iter().enumerate() {
        if k < count {
            let to = &mut to[k * width..];
            match to.first_chunk_mut::<BLOCK>() {
                Some(to) => *to = *row,
                None => to[..width].copy_from_slice(&row[..width]),
            }
        }
    }
}

impl Target<'_> {
    /// Where tiles or panels from a row or column on go, of whole ones before it.
    #[inline(always)]
    fn after_lines(&mut self, line: usize) -> Target<'_> {
        Target {
            data: &mut self.data[line * self.steps..],
            ..*self
        }
    }

    /// The panels of some columns, each with their width.
    #[inline(always)]
    fn each<S: Simd>(
        &mut self,
        columns: &Range<usize>,
    ) -> impl Iterator<Item = (Range<usize>, usize, &mut [f32])> {
        let panel = 2 * S::F32_LANES;
        let first = self.first;
        let data = self.data.chunks_mut((panel * self.steps).max(1));
        blocks(columns, panel)
            .zip(data)
            .map(move |(columns, data)| {
                let width = columns.len().next_multiple_of(S::F32_LANES);
                (columns, width, &mut data[first * width..])
            })
    }
}

/// Columns of `B` as panels of two vectors, the last one maybe of one: `panel[k * width + column]`.
/// Columns of a panel beyond the last one of `B` are zero.
#[inline(always)]
fn columns_of<S: Simd, E: Element>(
    simd: S,
    data: &[E],
    b: Matrix<'_>,
    columns: &Range<usize>,
    depth: &Range<usize>,
    mut to: Target<'_>,
) {
    if b.has_dense_rows() {
        return dense::<S, E>(data, b, columns, depth, to);
    }
    for (columns, width, to) in to.each::<S>(columns) {
        panel(simd, data, b, columns, depth.clone(), width, to);
    }
}

/// Rows that lie densely, some at a time: each row is in another page of memory, and so is each
/// panel.
#[inline(always)]
fn dense<S: Simd, E: Element>(
    data: &[E],
    b: Matrix<'_>,
    columns: &Range<usize>,
    depth: &Range<usize>,
    mut to: Target<'_>,
) {
    for strip in blocks(depth, BLOCK) {
        for (columns, width, to) in to.each::<S>(columns) {
            let to = to[(strip.start - depth.start) * width..].chunks_mut(width);
            for (row, to) in strip.clone().zip(to) {
                let start = row * b.row_stride + columns.start;
                E::widen_all(&data[start..start + columns.len()], to);
                to[columns.len()..].fill(0.0);
            }
        }
    }
}

/// Columns that lie densely, block by block.
#[inline(always)]
fn panel<S: Simd, E: Element>(
    simd: S,
    data: &[E],
    b: Matrix<'_>,
    columns: Range<usize>,
    depth: Range<usize>,
    width: usize,
    to: &mut [f32],
) {
    if columns.len() < width {
        to[..depth.len() * width].fill(0.0);
    }
    for (steps, to) in blocks(&depth, BLOCK).zip(to.chunks_mut(BLOCK * width)) {
        for part in blocks(&columns, BLOCK) {
            let to = &mut to[part.start - columns.start..];
            square(simd, data, b, (&steps, &part), width, to);
        }
    }
}

/// At most [`BLOCK`] rows and columns of a matrix, each row `width` elements from the next.
#[inline(always)]
fn square<S: Simd, E: Element>(
    simd: S,
    data: &[E],
    b: Matrix<'_>,
    (rows, columns): (&Range<usize>, &Range<usize>),
    width: usize,
    to: &mut [f32],
) {
    let data = &data[rows.start * b.row_stride + columns.start * b.column_stride..];
    let sizes = (rows.len(), columns.len());
    if b.row_stride != 1 || sizes != (BLOCK, BLOCK) {
        return copy_elements(data, b, sizes, width, to);
    }
    let block = lines(data, b.column_stride, BLOCK);
    for (to, row) in to.chunks_mut(width).zip(&transposed(simd, &block)) {
        to[..BLOCK].copy_from_slice(row);
    }
}

/// `steps` rows and `count` columns in any order.
#[inline(always)]
fn copy_elements<E: Element>(
    data: &[E],
    b: Matrix<'_>,
    (steps, count): (usize, usize),
    width: usize,
    to: &mut [f32],
) {
    for (k, to) in to.chunks_mut(width).take(steps).enumerate() {
        for (column, to) in to[..count].iter_mut().enumerate() {
            *to = data[k * b.row_stride + column * b.column_stride].widen();
        }
    }
}
