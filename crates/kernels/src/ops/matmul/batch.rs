//! Operands of a batched product as matrices in host memory.

use super::MatMulOptions;
use crate::host::floats;
use candle_core::{CpuStorage, Layout, Result, Shape};
use metal_candle_cpu::floats::Floats;
use metal_candle_cpu::gemm::{Matrix, MatrixMut};

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
pub(super) fn split(layout: &Layout, transposed: bool) -> (&[usize], usize, usize) {
    match layout.dims() {
        [batch @ .., rows, columns] if transposed => (batch, *columns, *rows),
        [batch @ .., rows, columns] => (batch, *rows, *columns),
        _ => (&[], 1, 1),
    }
}

/// A batch of matrices, borrowed in any layout and dtype, since products read any.
pub(super) struct Matrices<'a> {
    data: Floats<'a>,
    layout: Layout,
    transposed: bool,
}

impl<'a> Matrices<'a> {
    /// `transposed` reads every matrix the other way.
    pub(super) fn new(
        storage: &'a CpuStorage,
        layout: &Layout,
        transposed: bool,
        batch: &[usize],
    ) -> Result<Self> {
        let matrix = &layout.dims()[layout.dims().len() - 2..];
        Ok(Self {
            data: floats(storage)?,
            layout: layout.broadcast_as([batch, matrix].concat())?,
            transposed,
        })
    }

    /// The matrix of index `i` in the batch.
    pub(super) fn matrix(&self, i: usize) -> Matrix<'_> {
        let (dims, strides) = (self.layout.dims(), self.layout.stride());
        let last = dims.len() - 2;
        let (sizes, strides) = (
            (dims[last], dims[last + 1]),
            (strides[last], strides[last + 1]),
        );
        let matrix = Matrix::at(self.data, start(&self.layout, i), sizes, strides);
        if self.transposed {
            matrix.transposed()
        } else {
            matrix
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

/// Matrices to add to: the result, or an operand's gradient, where one matrix may stand for several
/// in the batch.
pub(super) struct Target {
    values: Vec<f32>,
    layout: Layout,
}

impl Target {
    pub(super) fn of(values: Vec<f32>, shape: &Shape) -> Self {
        let layout = Layout::contiguous(shape);
        Self { values, layout }
    }

    /// Zeros for the gradient of `operand`.
    pub(super) fn like(operand: &Layout, batch: &[usize]) -> Result<Self> {
        let own = operand.dims();
        let layout = Layout::contiguous(operand.shape());
        Ok(Self {
            values: vec![0.0; operand.shape().elem_count()],
            layout: layout.broadcast_as([batch, &own[own.len() - 2..]].concat())?,
        })
    }

    /// The matrix of index `i` in the batch.
    pub(super) fn matrix(&mut self, i: usize) -> MatrixMut<'_> {
        let dims = self.layout.dims();
        let (rows, columns) = (dims[dims.len() - 2], dims[dims.len() - 1]);
        let start = start(&self.layout, i);
        MatrixMut::new(&mut self.values[start..], rows, columns)
    }

    pub(super) fn into_values(self) -> Vec<f32> {
        self.values
    }
}
