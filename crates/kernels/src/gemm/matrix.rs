//! Matrices in host memory, to read and to write.
#![allow(unsafe_code)]

use super::pack;
use candle_core::{CpuStorage, Layout, Result};
use half::{bf16, f16};
use std::mem::MaybeUninit;
use std::ops::Range;

/// Elements of a matrix to read. They are float32 wherever they are computed with.
#[derive(Clone, Copy)]
pub(crate) enum Data<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
    Bf16(&'a [bf16]),
}

impl<'a> Data<'a> {
    pub(crate) fn new(storage: &'a CpuStorage) -> Result<Self> {
        match storage {
            CpuStorage::F32(data) => Ok(Self::F32(data)),
            CpuStorage::F16(data) => Ok(Self::F16(data)),
            CpuStorage::BF16(data) => Ok(Self::Bf16(data)),
            _ => candle_core::bail!("a product of {:?} has no kernel", storage_dtype(storage)),
        }
    }

    fn part(self, start: usize, len: usize) -> Self {
        let range = start..start + len;
        match self {
            Self::F32(data) => Self::F32(&data[range]),
            Self::F16(data) => Self::F16(&data[range]),
            Self::Bf16(data) => Self::Bf16(&data[range]),
        }
    }
}

fn storage_dtype(storage: &CpuStorage) -> candle_core::DType {
    use candle_core::backend::BackendStorage;
    storage.dtype()
}

/// A matrix to read, in any order.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub(super) data: Data<'a>,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Row after row.
    pub(crate) fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, (rows, columns), (columns, 1))
    }

    /// With any distances between rows and between columns.
    pub(crate) fn strided(data: &'a [f32], sizes: (usize, usize), strides: (usize, usize)) -> Self {
        Self::at(Data::F32(data), 0, sizes, strides)
    }

    /// A tensor of two dimensions, of any float dtype but f64.
    pub(crate) fn of(storage: &'a CpuStorage, layout: &Layout) -> Result<Self> {
        let sizes = layout.shape().dims2()?;
        let strides = (layout.stride()[0], layout.stride()[1]);
        let data = Data::new(storage)?;
        Ok(Self::at(data, layout.start_offset(), sizes, strides))
    }

    /// The matrix whose first element is that of index `start`.
    ///
    /// Panics when sizes and strides reach beyond the data: every product relies on that.
    pub(crate) fn at(
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

    /// The same memory, read the other way.
    #[must_use]
    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Some of the rows.
    pub(crate) fn part(self, rows: Range<usize>) -> Self {
        let strides = (self.row_stride, self.column_stride);
        let start = rows.start * self.row_stride;
        Self::at(self.data, start, (rows.len(), self.columns), strides)
    }

    /// A row, in float32.
    pub(crate) fn row(self, index: usize) -> Vec<f32> {
        pack::row(self, index, &(0..self.columns))
    }

    /// Elements of a row lie side by side.
    pub(super) fn has_dense_rows(&self) -> bool {
        self.column_stride == 1 || self.columns == 1
    }
}

/// A matrix to write.
pub(crate) struct MatrixMut<'a> {
    /// Not necessarily written before.
    pub(super) data: &'a mut [MaybeUninit<f32>],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
}

impl<'a> MatrixMut<'a> {
    /// Row after row.
    pub(crate) fn new(data: &'a mut [f32], rows: usize, columns: usize) -> Self {
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

    /// The same memory, written the other way.
    #[must_use]
    pub(crate) fn transposed(self) -> Self {
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
