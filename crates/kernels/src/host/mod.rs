//! Tensors in host memory as float32 slices, and back; rows of them, shared among threads.

pub(crate) mod online;
pub(crate) mod row_kernel;
pub(crate) mod rows;

use candle_core::backend::BackendStorage;
use candle_core::op::BackpropOp;
use candle_core::{CpuStorage, DType, Layout, Result, Shape, Storage, Tensor};
use metal_candle_cpu::floats::Floats;
use metal_candle_cpu::gemm::Matrix;
use row_kernel::converted;
use std::borrow::Cow;

/// A tensor as rows of its last dimension, each of them contiguous.
///
/// The memory is borrowed where it is float32 and the rows are contiguous, however far apart they
/// lie, and converted otherwise.
pub(crate) struct Rows<'a> {
    data: Cow<'a, [f32]>,
    start: usize,
    /// Size and stride of the leading dimensions, those that lie in order merged.
    lead: Vec<(usize, usize)>,
    pub(crate) width: usize,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(storage: &'a CpuStorage, layout: &Layout) -> Result<Self> {
        let is_contiguous = layout.dims().last() == Some(&1) || layout.stride().last() == Some(&1);
        match storage {
            CpuStorage::F32(data) if is_contiguous || layout.dims().is_empty() => {
                Ok(Self::over(Cow::Borrowed(data), layout))
            }
            _ => {
                let packed = packed(storage, layout)?;
                Ok(Self::over(packed, &Layout::contiguous(layout.shape())))
            }
        }
    }

    /// The rows of a tensor, from what [`Tensor::storage_and_layout`] gives.
    pub(crate) fn of(storage: &'a Storage, layout: &Layout) -> Result<Self> {
        Self::new(on_host(storage)?, layout)
    }

    fn over(data: Cow<'a, [f32]>, layout: &Layout) -> Self {
        let (width, lead) = match layout.dims() {
            [lead @ .., width] => (*width, lead),
            [] => (1, &[][..]),
        };
        Self {
            data,
            start: layout.start_offset(),
            lead: merged(lead, layout.stride()),
            width,
        }
    }

    pub(crate) fn row(&self, index: usize) -> &[f32] {
        let (mut start, mut rest) = (self.start, index);
        for (size, stride) in self.lead.iter().rev() {
            start += rest % size * stride;
            rest /= size;
        }
        &self.data[start..start + self.width]
    }
}

fn merged(dims: &[usize], strides: &[usize]) -> Vec<(usize, usize)> {
    let mut lead: Vec<(usize, usize)> = vec![];
    for (&size, &stride) in dims.iter().zip(strides) {
        match lead.last_mut() {
            Some(outer) if outer.1 == size * stride => *outer = (outer.0 * size, stride),
            _ => lead.push((size, stride)),
        }
    }
    lead
}

/// All elements in order; borrowed where they lie so.
pub(crate) fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<Cow<'a, [f32]>> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(data), Some((start, end))) => Ok(Cow::Borrowed(&data[start..end])),
        _ => packed(storage, layout),
    }
}

/// All elements of a tensor, from what [`Tensor::storage_and_layout`] gives.
pub(crate) fn slice_of<'a>(storage: &'a Storage, layout: &Layout) -> Result<Cow<'a, [f32]>> {
    slice(on_host(storage)?, layout)
}

/// All elements of a tensor in order: as they are where they lie so, float32 otherwise.
pub(crate) enum Numbers<'a> {
    Borrowed(Floats<'a>),
    Converted(Vec<f32>),
}

impl<'a> Numbers<'a> {
    /// The elements of a tensor, from what [`Tensor::storage_and_layout`] gives.
    pub(crate) fn of(storage: &'a Storage, layout: &Layout) -> Result<Self> {
        let storage = on_host(storage)?;
        match layout.contiguous_offsets() {
            Some((start, end)) => Ok(Self::Borrowed(floats(storage)?.part(start..end))),
            None => Ok(Self::Converted(packed(storage, layout)?.into_owned())),
        }
    }

    /// A matrix of so many columns, row after row.
    pub(crate) fn matrix(&self, columns: usize) -> Matrix<'_> {
        let floats = match self {
            Self::Borrowed(floats) => *floats,
            Self::Converted(values) => Floats::F32(values),
        };
        let rows = floats.len() / columns.max(1);
        Matrix::at(floats, 0, (rows, columns), (columns, 1))
    }
}

/// The numbers of a storage, of any float dtype but f64.
pub(crate) fn floats(storage: &CpuStorage) -> Result<Floats<'_>> {
    match storage {
        CpuStorage::F32(data) => Ok(Floats::F32(data)),
        CpuStorage::F16(data) => Ok(Floats::F16(data)),
        CpuStorage::BF16(data) => Ok(Floats::Bf16(data)),
        other => candle_core::bail!("no CPU kernel reads {:?}", other.dtype()),
    }
}

/// A tensor of two dimensions, of any float dtype but f64.
pub(crate) fn matrix<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<Matrix<'a>> {
    let sizes = layout.shape().dims2()?;
    let strides = (layout.stride()[0], layout.stride()[1]);
    Ok(Matrix::at(
        floats(storage)?,
        layout.start_offset(),
        sizes,
        strides,
    ))
}

pub(crate) fn on_host(storage: &Storage) -> Result<&CpuStorage> {
    match storage {
        Storage::Cpu(storage) => Ok(storage),
        _ => candle_core::bail!("the CPU kernel was given a tensor of another device"),
    }
}

fn packed<'a>(storage: &CpuStorage, layout: &Layout) -> Result<Cow<'a, [f32]>> {
    match converted(storage, layout, DType::F32)? {
        CpuStorage::F32(data) => Ok(Cow::Owned(data)),
        other => candle_core::bail!("expected F32, got {:?}", other.dtype()),
    }
}

/// `values` as a storage of `dtype`.
pub(crate) fn stored(values: Vec<f32>, shape: &Shape, dtype: DType) -> Result<CpuStorage> {
    match dtype {
        DType::F32 => Ok(CpuStorage::F32(values)),
        _ => converted(&CpuStorage::F32(values), &Layout::contiguous(shape), dtype),
    }
}

/// A storage as a tensor that is not tracked.
pub(crate) fn tensor(storage: CpuStorage, shape: &Shape) -> Tensor {
    untracked(Storage::Cpu(storage), shape)
}

/// A storage of any device as a tensor that is not tracked.
pub(crate) fn untracked(storage: Storage, shape: &Shape) -> Tensor {
    Tensor::from_storage(storage, shape, BackpropOp::none(), false)
}

/// `values` as a tensor of the shape and dtype of `like`.
pub(crate) fn tensor_like(values: Vec<f32>, like: &Tensor) -> Result<Tensor> {
    let storage = stored(values, like.shape(), like.dtype())?;
    Ok(tensor(storage, like.shape()))
}
