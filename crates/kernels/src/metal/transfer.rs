//! Numbers on their way between the host and a GPU.

use super::{device_of, on_metal};
use crate::value::Value;
use candle_core::{Error, MetalDevice, MetalStorage, Result, Shape, Storage, Tensor, WithDType};
use metal_candle_mps::apple::memory;

/// Numbers, as many as the shape has, in memory of the GPU.
pub(crate) fn upload<T: WithDType>(
    device: &MetalDevice,
    numbers: &[T],
    shape: &Shape,
) -> Result<Tensor> {
    let buffer = memory::upload(device, numbers).map_err(Error::wrap)?;
    let storage = MetalStorage::new(buffer, device.clone(), numbers.len(), T::DTYPE);
    Ok(Value::new(Storage::Metal(storage), shape).into_tensor())
}

/// Numbers of a tensor of this type.
pub(crate) fn download<T: WithDType>(tensor: &Tensor) -> Result<Vec<T>> {
    let (device, tensor) = (device_of(tensor)?, tensor.contiguous()?);
    let count = tensor.elem_count();
    let to = memory::readable::<T>(device, count).map_err(Error::wrap)?;
    let (storage, layout) = tensor.storage_and_layout();
    let from = on_metal(&storage)?.buffer();
    if count > 0 {
        let size = T::DTYPE.size_in_bytes();
        let mut blit = device.blit_command_encoder()?;
        blit.copy_from_buffer(from, layout.start_offset() * size, &to, 0, count * size);
    }
    memory::read(device, &to, count).map_err(Error::wrap)
}
