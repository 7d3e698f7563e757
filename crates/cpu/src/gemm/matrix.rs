//! Matrices in host memory, to read and to write.
#![allow(unsafe_code)]

use super::blocked::grown;
use super::pack;
use super::{Blocks, FewRows};
use crate::floats::Floats;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Elements of a matrix to read. They are float32 wherever they are computed with.
#[derive(Clone, Copy)]
pub enum Data<'a> {
    Dense(Floats<'a>),
    Packed(Packed<'a>),
}

/// A packed matrix, from one of its numbers on.
#[derive(Clone, Copy)]
pub struct Packed<'a> {
    blocks: &'a dyn Blocks,
    columns: usize,
    start: usize,
}

impl<'a> Data<'a> {
    fn part(self, start: usize, len: usize) -> Self {
        match self {
            Self::Dense(data) => Self::Dense(data.part(start..start + len)),
            Self::Packed(packed) => Self::Packed(Packed {
                start: packed.start + start,
                ..packed
            }),
        }
    }
}

/// A matrix to read, in any order.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    pub(super) data: Data<'a>,
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub columns: usize,
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Row after row.
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, (rows, columns), (columns, 1))
    }

    /// With any distances between rows and between columns.
    pub fn strided(data: &'a [f32], sizes: (usize, usize), strides: (usize, usize)) -> Self {
        Self::at(Floats::F32(data), 0, sizes, strides)
    }

    /// A packed matrix, `(rows, columns)`.
    pub fn packed(blocks: &'a dyn Blocks, (rows, columns): (usize, usize)) -> Self {
        let packed = Packed {
            blocks,
            columns,
            start: 0,
        };
        Self::within(Data::Packed(packed), 0, (rows, columns), (columns, 1))
    }

    /// The matrix whose first element is that of index `start`.
    ///
    /// Panics when sizes and strides reach beyond the data: every product relies on that.
    pub fn at(
        data: Floats<'a>,
        start: usize,
        sizes: (usize, usize),
        strides: (usize, usize),
    ) -> Self {
        Self::within(Data::Dense(data), start, sizes, strides)
    }

    fn within(
        data: Data<'a>,
        start: usize,
        (rows, columns): (usize, usize),
        (row_stride, column_stride): (usize, usize),
    ) -> Self {
        let used = span((rows, columns), (row_stride, column_stride));
        Self {
            data: data.part(start.min(start * used), used),
            rows,
            columns,
            row_stride,
            column_stride,
        }
    }

    /// The transposed matrix: the same memory, read the other way.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Some of the rows.
    pub fn part(self, rows: Range<usize>) -> Self {
        let strides = (self.row_stride, self.column_stride);
        let start = rows.start * self.row_stride;
        Self::within(self.data, start, (rows.len(), self.columns), strides)
    }

    /// A block of a packed matrix in float32, in `memory`, with its rows and columns from zero on.
    #[inline(always)]
    pub(super) fn unpacked<'m>(
        self,
        packed: Packed<'_>,
        (rows, columns): (&Range<usize>, &Range<usize>),
        memory: &'m mut Vec<f32>,
    ) -> (&'m [f32], Matrix<'m>) {
        let memory = grown(memory, rows.len() * columns.len());
        let block = match self.has_dense_rows() {
            true => {
                packed.read(rows, columns, memory);
                Matrix::new(memory, rows.len(), columns.len())
            }
            false => {
                packed.read(columns, rows, memory);
                Matrix::new(memory, columns.len(), rows.len()).transposed()
            }
        };
        (memory, block)
    }

    /// A row, in float32.
    pub fn row(self, index: usize) -> Vec<f32> {
        pack::row(self, index, &(0..self.columns))
    }

    /// Elements of a row lie side by side.
    pub(super) fn has_dense_rows(&self) -> bool {
        self.column_stride == 1 || self.columns == 1
    }
}

impl<'a> Packed<'a> {
    /// Rows `x` prepared for the matrix as it is stored, where its format has a kernel for them, and the
    /// first of its rows.
    pub(super) fn few_rows(&self, x: &[Vec<f32>]) -> Option<(Box<dyn FewRows + 'a>, usize)> {
        let (row, column) = (self.start / self.columns, self.start % self.columns);
        let is_whole = column == 0 && x.iter().all(|x| x.len() == self.columns);
        let rows = is_whole.then(|| self.blocks.few_rows(x)).flatten()?;
        Some((rows, row))
    }

    /// Rows and columns as they are stored, from the first number on.
    fn read(&self, rows: &Range<usize>, columns: &Range<usize>, to: &mut [f32]) {
        let (row, column) = (self.start / self.columns, self.start % self.columns);
        let rows = row + rows.start..row + rows.end;
        let columns = column + columns.start..column + columns.end;
        self.blocks.read(rows, columns, to);
    }
}

/// A matrix to write.
pub struct MatrixMut<'a> {
    /// Memory that need not have been written before.
    pub(super) data: &'a mut [MaybeUninit<f32>],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
}

impl<'a> MatrixMut<'a> {
    /// Row after row.
    pub fn new(data: &'a mut [f32], rows: usize, columns: usize) -> Self {
        let data: *mut [f32] = data;
        // SAFETY: the same memory, borrowed for as long; products write numbers to it only.
        Self::fresh(
            unsafe { &mut *(data as *mut [MaybeUninit<f32>]) },
            rows,
            columns,
        )
    }

    /// Row after row, in memory that a product is to write.
    pub(super) fn fresh(data: &'a mut [MaybeUninit<f32>], rows: usize, columns: usize) -> Self {
        let used = span((rows, columns), (columns, 1));
        Self {
            data: &mut data[..used],
            rows,
            columns,
            row_stride: columns,
            column_stride: 1,
        }
    }

    /// The transposed matrix: the same memory, written the other way.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// Elements from the first to the last of a matrix, both included.
fn span((rows, columns): (usize, usize), (row_stride, column_stride): (usize, usize)) -> usize {
    match (rows, columns) {
        (0, _) | (_, 0) => 0,
        _ => (rows - 1) * row_stride + (columns - 1) * column_stride + 1,
    }
}
