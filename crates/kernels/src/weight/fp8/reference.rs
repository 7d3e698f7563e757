//! The definition: every number by itself.

use super::{Fp8, Packed};
use crate::Result;
use candle_core::{Device, Tensor};

/// The matrix in float32, on its device.
pub(super) fn dense(packed: &Fp8) -> Result<Tensor> {
    let ((n, k), (rows, columns)) = (packed.dims(), packed.block);
    let bytes = packed.bytes.to_device(&Device::Cpu)?.to_vec2::<u8>()?;
    let scales = packed.scales.to_device(&Device::Cpu)?.to_vec2::<f32>()?;
    let number =
        |row: usize, column: usize| e4m3(bytes[row][column]) * scales[row / rows][column / columns];
    let numbers = (0..n).flat_map(|row| (0..k).map(move |column| number(row, column)));
    let dense = Tensor::from_vec(numbers.collect::<Vec<f32>>(), (n, k), &Device::Cpu)?;
    Ok(dense.to_device(packed.device())?)
}

/// A sign, four bits of an exponent biased by 7, three of a fraction; below the smallest exponent,
/// numbers are evenly spaced.
fn e4m3(byte: u8) -> f32 {
    let sign = if byte >> 7 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(byte >> 3 & 15), f32::from(byte & 7) / 8.0);
    sign * match exponent {
        0 => fraction * 2f32.powi(-6),
        _ => (1.0 + fraction) * 2f32.powi(exponent - 7),
    }
}
