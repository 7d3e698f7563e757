//! Products of float32 matrices in host memory, by the `gemm` crate.
#![allow(unsafe_code)]

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, DType, Layout, Result};
use gemm::Parallelism;

/// A matrix to read, in any order.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    data: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Row after row.
    pub(crate) fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, (rows, columns), (columns, 1))
    }

    /// With any distances between rows and between columns.
    pub(crate) fn strided(
        data: &'a [f32],
        (rows, columns): (usize, usize),
        (row_stride, column_stride): (usize, usize),
    ) -> Self {
        let used = span((rows, columns), (row_stride, column_stride));
        Self {
            data: &data[..used],
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

    /// Some of the columns.
    #[must_use]
    pub(crate) fn column_range(self, first: usize, count: usize) -> Self {
        let data = self.data.get(first * self.column_stride..).unwrap_or(&[]);
        let strides = (self.row_stride, self.column_stride);
        Self::strided(data, (self.rows, count), strides)
    }
}

/// A matrix to write.
pub(crate) struct MatrixMut<'a> {
    data: &'a mut [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> MatrixMut<'a> {
    /// Row after row.
    pub(crate) fn new(data: &'a mut [f32], rows: usize, columns: usize) -> Self {
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

    /// Some of the columns.
    #[must_use]
    pub(crate) fn column_range(self, first: usize, count: usize) -> Self {
        let strides = (self.row_stride, self.column_stride);
        assert!(first + count <= self.columns, "columns that do not exist");
        let start = (first * self.column_stride).min(self.data.len());
        let used = span((self.rows, count), strides);
        Self {
            data: &mut self.data[start..][..used],
            columns: count,
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

/// Who works on a product.
#[derive(Clone, Copy)]
pub(crate) enum Threads {
    /// The calling thread: inside of parallel work.
    One,
    /// All, above the size from which `gemm` finds that worth it.
    All,
}

/// What a product does with the numbers that are there.
#[derive(Clone, Copy)]
pub(crate) enum Then {
    /// Overwrites them, without a look.
    Write,
    /// Adds to them.
    Add,
}

/// `C = alpha * A B`, or `C += alpha * A B`.
pub(crate) fn product(
    c: MatrixMut<'_>,
    then: Then,
    alpha: f32,
    a: Matrix<'_>,
    b: Matrix<'_>,
    threads: Threads,
) {
    assert_eq!(
        (a.rows, a.columns, b.columns),
        (c.rows, b.rows, c.columns),
        "sizes of a product"
    );
    // SAFETY: every constructor cuts its slice to the elements that sizes and strides reach, so
    // all reads and writes stay inside. C is borrowed exclusively, and it is a part of a matrix
    // that was row-major, so that no two of its elements are one.
    unsafe {
        gemm::gemm(
            c.rows,
            c.columns,
            a.columns,
            c.data.as_mut_ptr(),
            c.column_stride as isize,
            c.row_stride as isize,
            matches!(then, Then::Add),
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            alpha,
            false,
            false,
            false,
            match threads {
                Threads::One => Parallelism::None,
                Threads::All => Parallelism::Rayon(0),
            },
        );
    }
}

/// Elements of a weight that are widened at a time: 1 MiB in float32, half of a core's cache.
const PANEL_ELEMENTS: usize = 256 << 10;

/// Calls `f` with the rows of a weight `(N, K)`: all at once where it is float32, otherwise some
/// rows at a time in float32 with the index of the first, so that no wide copy of the whole exists.
pub(crate) fn for_each_panel(
    weight: &CpuStorage,
    layout: &Layout,
    f: impl FnMut(usize, Matrix<'_>),
) -> Result<()> {
    let k = layout.shape().dims2()?.1;
    let rows = PANEL_ELEMENTS / k.max(1);
    for_each_panel_of(rows.max(1), weight, layout, f)
}

fn for_each_panel_of(
    panel_rows: usize,
    weight: &CpuStorage,
    layout: &Layout,
    mut f: impl FnMut(usize, Matrix<'_>),
) -> Result<()> {
    let (n, k) = layout.shape().dims2()?;
    if let CpuStorage::F32(data) = weight {
        let strides = (layout.stride()[0], layout.stride()[1]);
        let data = data.get(layout.start_offset()..).unwrap_or(&[]);
        f(0, Matrix::strided(data, (n, k), strides));
        return Ok(());
    }
    for first in (0..n).step_by(panel_rows) {
        let rows = panel_rows.min(n - first);
        let wide = weight.to_dtype(&layout.narrow(0, first, rows)?, DType::F32)?;
        f(first, Matrix::new(wide.as_slice()?, rows, k));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Storage, Tensor};

    #[test]
    fn panels_cover_a_weight_of_any_dtype_and_layout() {
        let rows = [[0f32, 1.0, 2.0], [3.0, 4.0, 5.0]];
        let t = Tensor::new(&rows, &Device::Cpu).unwrap();
        for dtype in [DType::F32, DType::BF16] {
            let t = t.to_dtype(dtype).unwrap().t().unwrap();
            let (storage, layout) = t.storage_and_layout();
            let Storage::Cpu(storage) = &*storage else {
                panic!("not on the CPU");
            };
            for panel_rows in 1..5 {
                let mut sums = vec![0.0; 3];
                for_each_panel_of(panel_rows, storage, layout, |first, panel| {
                    let c = MatrixMut::new(&mut sums[first..first + panel.rows], panel.rows, 1);
                    let ones = Matrix::new(&[1.0, 1.0], 2, 1);
                    product(c, Then::Write, 1.0, panel, ones, Threads::One);
                })
                .unwrap();
                assert_eq!(sums, [3.0, 5.0, 7.0]);
            }
        }
    }

    #[test]
    fn a_product_writes_only_its_columns() {
        let mut c = [7.0; 6];
        let (a, b) = ([1.0, 2.0], [10.0]);
        let (a, b) = (Matrix::new(&a, 2, 1), Matrix::new(&b, 1, 1));
        let columns = MatrixMut::new(&mut c, 2, 3).column_range(1, 1);
        product(columns, Then::Write, 0.5, a, b, Threads::All);
        assert_eq!(c, [7.0, 5.0, 7.0, 7.0, 10.0, 7.0]);
        let columns = MatrixMut::new(&mut c, 3, 2).transposed().column_range(2, 1);
        product(columns, Then::Add, 1.0, a, b, Threads::All);
        assert_eq!(c, [7.0, 5.0, 7.0, 7.0, 20.0, 27.0]);
    }

    #[test]
    #[should_panic(expected = "columns that do not exist")]
    fn columns_beyond_the_last_are_a_bug_of_the_caller() {
        let mut c = [0.0; 6];
        let _ = MatrixMut::new(&mut c, 2, 3).column_range(2, 2);
    }

    #[test]
    #[should_panic(expected = "sizes of a product")]
    fn sizes_that_do_not_fit_are_a_bug_of_the_caller() {
        let mut c = [0.0];
        let (a, b) = (Matrix::new(&[1.0, 2.0], 1, 2), Matrix::new(&[1.0], 1, 1));
        product(
            MatrixMut::new(&mut c, 1, 1),
            Then::Write,
            1.0,
            a,
            b,
            Threads::One,
        );
    }

    #[test]
    #[should_panic]
    fn a_matrix_cannot_reach_beyond_its_slice() {
        Matrix::strided(&[1.0, 2.0], (2, 1), (2, 1));
    }
}
