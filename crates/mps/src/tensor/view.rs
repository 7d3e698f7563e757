//! candle's layouts as views.

use candle_core::{DType, Layout, Storage, Tensor};

use super::backend::Backend;
use super::{Error, Result};
use crate::plan::{DataType, Slot, View};

/// Where `tensor` lies in its buffer, without a copy.
///
/// # Errors
///
/// [`Error::DType`], [`Error::Device`], and [`Error::Limit`] for a tensor without elements.
pub fn view_of(tensor: &Tensor) -> Result<View> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => storage.view(layout),
        #[cfg(any(target_vendor = "apple", soft_metal))]
        Storage::Metal(storage) => storage.view(layout),
        _ => Err(Error::Device {
            operand: Slot::Source,
            expected: "the CPU or an Apple GPU".into(),
            got: tensor.device().location(),
        }),
    }
}

/// `layout` over elements of `dtype` in a buffer of `buffer_len_bytes`.
pub(crate) fn view(dtype: DType, layout: &Layout, buffer_len_bytes: usize) -> Result<View> {
    let offset_bytes = layout.start_offset() * dtype.size_in_bytes();
    let (dims, strides) = (layout.dims(), layout.stride());
    Ok(View::new(
        data_type(dtype)?,
        offset_bytes,
        dims,
        strides,
        buffer_len_bytes,
    )?)
}

fn data_type(dtype: DType) -> Result<DataType> {
    Ok(match dtype {
        DType::F32 => DataType::Float32,
        DType::F16 => DataType::Float16,
        DType::BF16 => DataType::BFloat16,
        DType::U8 => DataType::UInt8,
        DType::I16 => DataType::Int16,
        DType::U32 => DataType::UInt32,
        DType::I32 => DataType::Int32,
        DType::I64 => DataType::Int64,
        got => {
            let (operand, expected) = (Slot::Source, "a type of MPS".into());
            return Err(Error::DType {
                operand,
                expected,
                got,
            });
        }
    })
}
