//! Copies of a block of each operand in the order in which the tile reads them, in float32.

use super::blocked::blocks;
use super::element::Element;
use super::matrix::{Data, Matrix};
use super::transpose::{BLOCK, transpose};
use super::{DEPTH, PACKED_ROW};
use pulp::Simd;
use std::ops::Range;

/// A part of one row of `A`.
#[inline(always)]
pub(super) fn row(a: Matrix<'_>, row: usize, depth: &Range<usize>) -> Vec<f32> {
    let mut to = vec![0.0; depth.len()];
    match a.data {
        Data::F32(data) => row_of(data, a, row, depth, &mut to),
        Data::F16(data) => row_of(data, a, row, depth, &mut to),
        Data::Bf16(data) => row_of(data, a, row, depth, &mut to),
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

/// Rows of `A`, each [`PACKED_ROW`] elements from the next, from step `first` of them on.
#[inline(always)]
pub(super) fn rows(
    a: Matrix<'_>,
    rows: Range<usize>,
    depth: Range<usize>,
    first: usize,
    to: &mut [[f32; PACKED_ROW]],
) {
    match a.data {
        Data::F32(data) => rows_of(data, a, rows, depth, first, to),
        Data::F16(data) => rows_of(data, a, rows, depth, first, to),
        Data::Bf16(data) => rows_of(data, a, rows, depth, first, to),
    }
}

#[inline(always)]
fn rows_of<E: Element>(
    data: &[E],
    a: Matrix<'_>,
    rows: Range<usize>,
    depth: Range<usize>,
    first: usize,
    to: &mut [[f32; PACKED_ROW]],
) {
    if depth.is_empty() {
        return;
    }
    if a.has_dense_rows() {
        for (row, to) in rows.zip(to) {
            let start = row * a.row_stride + depth.start;
            E::widen_all(&data[start..start + depth.len()], &mut to[first..]);
        }
        return;
    }
    for (k, depth) in depth.enumerate() {
        let start = depth * a.column_stride;
        for (row, to) in rows.clone().zip(to.iter_mut()) {
            to[first + k] = data[start + row * a.row_stride].widen();
        }
    }
}

/// Where columns of `B` go: panels of `steps` inner steps, of which those from `first` on are
/// written.
pub(super) struct Panels<'a> {
    pub(super) data: &'a mut [f32],
    pub(super) steps: usize,
    pub(super) first: usize,
}

impl Panels<'_> {
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
pub(super) fn columns<S: Simd>(
    simd: S,
    b: Matrix<'_>,
    columns: &Range<usize>,
    depth: &Range<usize>,
    to: Panels<'_>,
) {
    match b.data {
        Data::F32(data) => columns_of(simd, data, b, columns, depth, to),
        Data::F16(data) => columns_of(simd, data, b, columns, depth, to),
        Data::Bf16(data) => columns_of(simd, data, b, columns, depth, to),
    }
}

#[inline(always)]
fn columns_of<S: Simd, E: Element>(
    simd: S,
    data: &[E],
    b: Matrix<'_>,
    columns: &Range<usize>,
    depth: &Range<usize>,
    mut to: Panels<'_>,
) {
    if b.has_dense_rows() {
        return dense::<S, E>(data, b, columns, depth, to);
    }
    for (columns, width, to) in to.each::<S>(columns) {
        transposed(simd, data, b, columns, depth.clone(), width, to);
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
    mut to: Panels<'_>,
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
fn transposed<S: Simd, E: Element>(
    simd: S,
    data: &[E],
    b: Matrix<'_>,
    columns: Range<usize>,
    depth: Range<usize>,
    width: usize,
    to: &mut [f32],
) {
    let is_dense = b.row_stride == 1;
    if columns.len() < width {
        to[..depth.len() * width].fill(0.0);
    }
    let strips = depth
        .clone()
        .step_by(BLOCK)
        .zip(to.chunks_mut(BLOCK * width));
    for (first, to) in strips {
        let steps = BLOCK.min(depth.end - first);
        for from in (0..columns.len()).step_by(BLOCK) {
            let count = BLOCK.min(columns.len() - from);
            let start = (columns.start + from) * b.column_stride + first * b.row_stride;
            let (data, to) = (&data[start..], &mut to[from..]);
            if is_dense && steps == BLOCK && count == BLOCK {
                let mut rows = [[0.0; BLOCK]; BLOCK];
                for (i, row) in rows.iter_mut().enumerate() {
                    E::widen_all(&data[i * b.column_stride..][..BLOCK], row);
                }
                transpose(simd, &rows, width, to);
            } else {
                copy_elements(data, b, (steps, count), width, to);
            }
        }
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

const _: () = assert!(DEPTH <= PACKED_ROW);
