//! Copies of a block of each operand in the order in which the tile reads them, in float32.

use super::blocked::blocks;
use super::element::Element;
use super::matrix::{Data, Matrix};
use super::transpose::{BLOCK, transpose};
use super::{DEPTH, PACKED_ROW};
use pulp::Simd;
use std::ops::Range;

/// Rows of `A`, each [`PACKED_ROW`] elements from the next, and the first `depth` of them used.
#[inline(always)]
pub(super) fn rows(
    a: Matrix<'_>,
    rows: Range<usize>,
    depth: Range<usize>,
    to: &mut [[f32; PACKED_ROW]],
) {
    match a.data {
        Data::F32(data) => rows_of(data, a, rows, depth, to),
        Data::F16(data) => rows_of(data, a, rows, depth, to),
        Data::Bf16(data) => rows_of(data, a, rows, depth, to),
    }
}

#[inline(always)]
fn rows_of<E: Element>(
    data: &[E],
    a: Matrix<'_>,
    rows: Range<usize>,
    depth: Range<usize>,
    to: &mut [[f32; PACKED_ROW]],
) {
    if a.has_dense_rows() {
        for (row, to) in rows.zip(to) {
            let start = row * a.row_stride + depth.start;
            E::widen_all(&data[start..start + depth.len()], to);
        }
        return;
    }
    for (k, depth) in depth.enumerate() {
        let start = depth * a.column_stride;
        for (row, to) in rows.clone().zip(to.iter_mut()) {
            to[k] = data[start + row * a.row_stride].widen();
        }
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
    to: &mut [f32],
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
    to: &mut [f32],
) {
    let panel = 2 * S::F32_LANES;
    let last = columns.len() % panel;
    if !last.is_multiple_of(S::F32_LANES) {
        to[(columns.len() - last) * depth.len()..][..panel * depth.len()].fill(0.0);
    }
    if b.has_dense_rows() {
        return dense::<S, E>(data, b, columns, depth, to);
    }
    let panels = blocks(columns, panel).zip(to.chunks_mut(panel * depth.len().max(1)));
    for (columns, to) in panels {
        let width = columns.len().next_multiple_of(S::F32_LANES);
        transposed(simd, data, b, columns, depth.clone(), width, to);
    }
}

/// Rows that lie densely: each is read whole, since the next one is in another page of memory.
#[inline(always)]
fn dense<S: Simd, E: Element>(
    data: &[E],
    b: Matrix<'_>,
    columns: &Range<usize>,
    depth: &Range<usize>,
    to: &mut [f32],
) {
    let panel = 2 * S::F32_LANES;
    for (k, row) in depth.clone().enumerate() {
        let row = &data[row * b.row_stride + columns.start..][..columns.len()];
        for (i, part) in row.chunks(panel).enumerate() {
            let width = part.len().next_multiple_of(S::F32_LANES);
            E::widen_all(
                part,
                &mut to[i * panel * depth.len() + k * width..][..part.len()],
            );
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
