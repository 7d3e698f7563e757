//! Operands of a batched product as matrices in host memory.

use super::MatMulOptions;
use super::cpu::{Matrix, MatrixMut, Then};
use crate::host::slice;
use candle_core::{CpuStorage, Layout, Result, Shape};
use std::borrow::Cow;

/// Sizes of `op(A) op(B)`.
pub(super) struct Sizes {
    /// Batch dimensions of the result.
    pub(super) batch: Vec<usize>,
    pub(super) m: usize,
    pub(super) n: usize,
}

impl Sizes {
    pub(super) fn new(a: &Layout, b: &Layout, options: MatMulOptions) -> Result<Self> {
        let (a_batch, m, _) = split(a, options.transpose_a);
        let (b_batch, _, n) = split(b, options.transpose_b);
        let batch = Shape::from(a_batch).broadcast_shape_binary_op(&b_batch.into(), "matmul")?;
        Ok(Self {
            batch: batch.into_dims(),
            m,
            n,
        })
    }

    /// Matrices in the batch.
    pub(super) fn count(&self) -> usize {
        self.batch.iter().product()
    }

    /// `(.., M, N)`.
    pub(super) fn shape(&self) -> Shape {
        Shape::from([&self.batch[..], &[self.m, self.n]].concat())
    }
}

/// Batch dimensions, rows and columns, after the transpose.
fn split(layout: &Layout, transposed: bool) -> (&[usize], usize, usize) {
    match layout.dims() {
        [batch @ .., rows, columns] if transposed => (batch, *columns, *rows),
        [batch @ .., rows, columns] => (batch, *rows, *columns),
        _ => (&[], 1, 1),
    }
}

/// A batch of float32 matrices: borrowed in any layout, since products read any, and converted
/// from other dtypes.
pub(super) struct Operand<'a> {
    data: Cow<'a, [f32]>,
    layout: Layout,
    transposed: bool,
}

impl<'a> Operand<'a> {
    /// `transposed` reads every matrix the other way.
    pub(super) fn new(
        storage: &'a CpuStorage,
        layout: &Layout,
        transposed: bool,
        batch: &[usize],
    ) -> Result<Self> {
        let (data, layout) = match storage {
            CpuStorage::F32(data) => (Cow::Borrowed(&data[..]), layout.clone()),
            _ => (slice(storage, layout)?, Layout::contiguous(layout.shape())),
        };
        let matrix = &layout.dims()[layout.dims().len() - 2..];
        let layout = layout.broadcast_as([batch, matrix].concat())?;
        Ok(Self {
            data,
            layout,
            transposed,
        })
    }

    /// The matrix of index `i` in the batch.
    pub(super) fn matrix(&self, i: usize) -> Matrix<'_> {
        let (dims, strides) = (self.layout.dims(), self.layout.stride());
        let rank = dims.len();
        let data = self.data.get(start(&self.layout, i)..).unwrap_or(&[]);
        let sizes = (dims[rank - 2], dims[rank - 1]);
        let matrix = Matrix::strided(data, sizes, (strides[rank - 2], strides[rank - 1]));
        match self.transposed {
            true => matrix.transposed(),
            false => matrix,
        }
    }
}

/// Where the matrix of index `i` begins.
fn start(layout: &Layout, i: usize) -> usize {
    let (mut start, mut rest) = (layout.start_offset(), i);
    let batch = layout.dims().iter().zip(layout.stride()).rev().skip(2);
    for (size, stride) in batch {
        start += rest % size * stride;
        rest /= size;
    }
    start
}

/// Matrices to write: the result, or an operand's gradient, where one matrix may stand for several
/// in the batch.
pub(super) struct Target {
    values: Vec<f32>,
    layout: Layout,
    transposed: bool,
}

impl Target {
    pub(super) fn of(values: Vec<f32>, shape: &Shape) -> Self {
        Self {
            values,
            layout: Layout::contiguous(shape),
            transposed: false,
        }
    }

    /// Zeros for the gradient of `operand`.
    pub(super) fn like(operand: &Layout, transposed: bool, batch: &[usize]) -> Result<Self> {
        let own = operand.dims();
        let layout = Layout::contiguous(operand.shape());
        let layout = layout.broadcast_as([batch, &own[own.len() - 2..]].concat())?;
        Ok(Self {
            values: vec![0.0; operand.shape().elem_count()],
            layout,
            transposed,
        })
    }

    /// Whether a part of a product is written or added, the parts being told apart by `part`.
    pub(super) fn then(&self, part: usize) -> Then {
        let is_repeated = self.values.len() < self.layout.shape().elem_count();
        match is_repeated || part > 0 {
            true => Then::Add,
            false => Then::Write,
        }
    }

    /// The matrix of index `i` in the batch.
    pub(super) fn matrix(&mut self, i: usize) -> MatrixMut<'_> {
        let dims = self.layout.dims();
        let (rows, columns) = (dims[dims.len() - 2], dims[dims.len() - 1]);
        let start = start(&self.layout, i);
        let matrix = MatrixMut::new(&mut self.values[start..], rows, columns);
        match self.transposed {
            true => matrix.transposed(),
            false => matrix,
        }
    }

    pub(super) fn into_values(self) -> Vec<f32> {
        self.values
    }
}
