//! Numbers on their way between the host and a device.
//!
//! On an Apple GPU both ways go through memory that is used again, where candle makes a buffer each time.

use crate::Result;
use candle_core::{Device, Shape, Tensor, WithDType};

/// Numbers as a tensor.
///
/// # Errors
/// When they are not as many as the shape has, or memory runs out.
pub fn upload<T: WithDType>(
    numbers: &[T],
    shape: impl Into<Shape>,
    device: &Device,
) -> Result<Tensor> {
    let shape = shape.into();
    match device {
        #[cfg(any(target_vendor = "apple", soft_metal))]
        Device::Metal(metal) if shape.elem_count() == numbers.len() => {
            Ok(crate::metal::upload(metal, numbers, &shape)?)
        }
        _ => Ok(Tensor::from_slice(numbers, shape, device)?),
    }
}

/// The numbers of a tensor in their order; this waits for the device.
///
/// # Errors
/// When they are of another type, or the device failed.
pub fn download<T: WithDType>(tensor: &Tensor) -> Result<Vec<T>> {
    match tensor.device() {
        #[cfg(any(target_vendor = "apple", soft_metal))]
        Device::Metal(_) if tensor.dtype() == T::DTYPE => Ok(crate::metal::download(tensor)?),
        _ => Ok(tensor.flatten_all()?.to_vec1()?),
    }
}
