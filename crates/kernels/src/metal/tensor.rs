//! Tensors on the GPU as products take them.

use super::{Strided, on_metal};
use crate::value::Value;
use candle_core::backend::BackendStorage;
use candle_core::{DType, Layout, MetalDevice, MetalStorage, Result, Shape, Storage, Tensor};
use candle_metal_kernels::metal::Buffer;

/// A tensor's memory, shared, and where in it the elements are.
#[derive(Clone, Debug)]
pub(crate) struct DeviceTensor {
    pub(super) storage: MetalStorage,
    pub(super) layout: Layout,
}

impl DeviceTensor {
    pub(crate) fn new(storage: &MetalStorage, layout: &Layout) -> Self {
        Self {
            storage: storage.clone(),
            layout: layout.clone(),
        }
    }

    pub(crate) fn of(t: &Tensor) -> Result<Self> {
        let (storage, layout) = t.storage_and_layout();
        Ok(Self::new(on_metal(&storage)?, layout))
    }

    /// A result, whose memory holds nothing else.
    pub(super) fn packed(storage: MetalStorage, shape: impl Into<Shape>) -> Self {
        let layout = Layout::contiguous(shape);
        Self { storage, layout }
    }

    pub(crate) fn dtype(&self) -> DType {
        self.storage.dtype()
    }

    pub(crate) fn device(&self) -> &MetalDevice {
        self.storage.device()
    }

    /// Buffer and place of the first element.
    pub(super) fn place(&self) -> (&Buffer, usize) {
        let offset = self.layout.start_offset() * self.dtype().size_in_bytes();
        (self.storage.buffer(), offset)
    }

    /// Elements from row to row and from column to column of a matrix.
    pub(super) fn strides(&self) -> Result<[usize; 2]> {
        match *self.layout.stride() {
            [row, column] => Ok([row, column]),
            _ => candle_core::bail!("a matrix has two dimensions, got {:?}", self.dims()),
        }
    }

    pub(crate) fn strided(&self) -> Result<Strided<'_>> {
        Strided::new(&self.storage, &self.layout)
    }

    pub(crate) fn dims(&self) -> &[usize] {
        self.layout.dims()
    }

    /// This tensor, or a copy in another dtype.
    pub(crate) fn in_dtype(&self, dtype: DType) -> Result<Self> {
        if self.dtype() == dtype {
            return Ok(self.clone());
        }
        let storage = self.storage.to_dtype(&self.layout, dtype)?;
        Ok(Self::packed(storage, self.layout.shape()))
    }

    /// A matrix without what is behind so many rows.
    pub(crate) fn first_rows(&self, rows: usize) -> Result<Self> {
        let layout = self.layout.narrow(0, 0, rows)?;
        Ok(Self::new(&self.storage, &layout))
    }

    /// The last two dimensions the other way round.
    pub(crate) fn transposed(&self) -> Result<Self> {
        let rank = self.dims().len();
        let layout = self.layout.transpose(rank - 2, rank - 1)?;
        Ok(Self::new(&self.storage, &layout))
    }

    /// `(.., rows, columns)` for every matrix of `batch`.
    pub(crate) fn for_batch(&self, batch: &[usize]) -> Result<Self> {
        let matrix = &self.dims()[self.dims().len() - 2..];
        self.broadcast(&[batch, matrix].concat())
    }

    pub(crate) fn broadcast(&self, dims: &[usize]) -> Result<Self> {
        let layout = self.layout.broadcast_as(dims)?;
        Ok(Self::new(&self.storage, &layout))
    }

    /// `(.., K)` as `(M, K)`: copied where the rows are not the same distance apart.
    pub(crate) fn as_rows(&self) -> Result<Self> {
        let k = self.dims().last().copied().unwrap_or(1);
        let shape = Shape::from((self.layout.shape().elem_count() / k.max(1), k));
        if let Some(stride) = self.row_stride() {
            let column_stride = self.layout.stride().last().copied().unwrap_or(1);
            let strides = vec![stride, column_stride];
            let layout = Layout::new(shape, strides, self.layout.start_offset());
            return Ok(Self::new(&self.storage, &layout));
        }
        Ok(Self::packed(
            self.storage.affine(&self.layout, 1.0, 0.0)?,
            shape,
        ))
    }

    /// How far apart the rows are, where one number says it.
    fn row_stride(&self) -> Option<usize> {
        let lead = self.dims().len().saturating_sub(1);
        let lead = self.dims()[..lead].iter().zip(self.layout.stride());
        let mut inner_to_outer = lead.filter(|(size, _)| **size != 1).rev();
        let Some((&size, &innermost)) = inner_to_outer.next() else {
            return Some(self.dims().last().copied().unwrap_or(1));
        };
        let mut span = size * innermost;
        for (&size, &stride) in inner_to_outer {
            if stride != span {
                return None;
            }
            span *= size;
        }
        Some(innermost)
    }

    /// What `f` makes of it, element by element and in order.
    pub(crate) fn map(
        &self,
        f: impl FnOnce(&MetalStorage, &Layout) -> Result<MetalStorage>,
    ) -> Result<Self> {
        let storage = f(&self.storage, &self.layout)?;
        Ok(Self::packed(storage, self.layout.shape()))
    }

    /// The memory of a result, which holds nothing else, as an operation's.
    pub(crate) fn into_value(self, shape: impl Into<Shape>) -> Value {
        Value::new(Storage::Metal(self.storage), shape)
    }

    /// A result as a tensor that is not tracked.
    pub(crate) fn into_tensor(self) -> Tensor {
        let shape = self.layout.shape().clone();
        self.into_value(shape).into_tensor()
    }

    /// A result as the gradient of `input`: in its shape and dtype.
    pub(crate) fn into_gradient(self, input: &Tensor) -> Result<Tensor> {
        self.into_tensor()
            .reshape(input.shape())?
            .to_dtype(input.dtype())
    }
}
