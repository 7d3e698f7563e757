//! The definition: every number by itself.

use super::{Kind, Microscaled, Packed};
use crate::Result;
use candle_core::{Device, Tensor};

/// The matrix in float32, on its device.
pub(super) fn dense(packed: &Microscaled) -> Result<Tensor> {
    let ((n, k), kind) = (packed.dims(), packed.kind);
    let words = packed.words.to_device(&Device::Cpu)?.to_vec2::<u32>()?;
    let scales = packed.scales.to_device(&Device::Cpu)?.to_vec2::<u8>()?;
    let number = |row: usize, column: usize| {
        let (per_word, bits) = (32 / kind.bits(), kind.bits());
        let word = words[row][column / per_word];
        let code = word >> (column % per_word * bits) & ((1 << bits) - 1);
        let scale = u32::from(scales[row][column / kind.group()]);
        match kind {
            Kind::Mxfp4 => float(code, [2, 1]) * power(scale),
            Kind::Mxfp8 => float(code, [4, 3]) * power(scale),
            Kind::Nvfp4 => float(code, [2, 1]) * float(scale, [4, 3]),
        }
    };
    let numbers = (0..n).flat_map(|row| (0..k).map(move |column| number(row, column)));
    let dense = Tensor::from_vec(numbers.collect::<Vec<f32>>(), (n, k), &Device::Cpu)?;
    Ok(dense.to_device(packed.device())?)
}

/// A float with a sign and so many bits of an exponent and a fraction. Its exponents are biased by
/// the middle one; below the smallest, numbers are evenly spaced.
fn float(code: u32, [exponent_bits, fraction_bits]: [u32; 2]) -> f32 {
    let bias = (1 << (exponent_bits - 1)) - 1;
    let exponent = (code >> fraction_bits & ((1 << exponent_bits) - 1)) as i32;
    let fraction = (code & ((1 << fraction_bits) - 1)) as f32 / (1 << fraction_bits) as f32;
    let magnitude = match exponent {
        0 => fraction * 2f32.powi(1 - bias),
        _ => (1.0 + fraction) * 2f32.powi(exponent - bias),
    };
    match code >> (exponent_bits + fraction_bits) & 1 {
        0 => magnitude,
        _ => -magnitude,
    }
}

/// `2^(exponent - 127)`; the smallest is below what `powi` gives.
fn power(exponent: u32) -> f32 {
    2f64.powi(exponent as i32 - 127) as f32
}
