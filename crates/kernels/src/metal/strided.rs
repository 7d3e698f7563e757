//! A tensor of at most four dimensions, in any layout.

use super::on_metal;
use candle_core::backend::BackendStorage;
use candle_core::{DType, Layout, MetalStorage, Result, Storage};
use candle_metal_kernels::metal::Buffer;

/// A tensor that a kernel reads by index: two parameters, the first element and the strides.
#[derive(Clone, Copy)]
pub(crate) struct Strided<'a> {
    pub(super) buffer: &'a Buffer,
    pub(super) offset_bytes: usize,
    /// In elements, outermost first; dimensions that are missing come first and have none.
    pub(super) strides: [u64; 4],
    pub(crate) dtype: DType,
}

impl<'a> Strided<'a> {
    pub(crate) fn new(storage: &'a MetalStorage, layout: &Layout) -> Result<Self> {
        let given = layout.stride();
        let Some(missing) = 4usize.checked_sub(given.len()) else {
            candle_core::bail!("four dimensions at most, got the shape {:?}", layout.dims());
        };
        let stride = |i: usize| i.checked_sub(missing).map_or(0, |i| given[i] as u64);
        Ok(Self {
            buffer: storage.buffer(),
            offset_bytes: layout.start_offset() * storage.dtype().size_in_bytes(),
            strides: std::array::from_fn(stride),
            dtype: storage.dtype(),
        })
    }

    /// A tensor, from what [`candle_core::Tensor::storage_and_layout`] gives.
    pub(crate) fn of(storage: &'a Storage, layout: &Layout) -> Result<Self> {
        Self::new(on_metal(storage)?, layout)
    }

    /// The memory from its start on, for a parameter that the kernel does not read.
    pub(crate) fn unread(self) -> Self {
        Self {
            offset_bytes: 0,
            ..self
        }
    }
}
