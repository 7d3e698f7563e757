//! Element types, and the elements behind an address.

use crate::rules::{Rule, broken};
use half::{bf16, f16};
use objc2_metal_performance_shaders::MPSDataType;

/// Bytes of an element; of the types that kernels here compute with.
pub fn width(dtype: MPSDataType, object: &str) -> usize {
    match dtype {
        MPSDataType::Float32 => 4,
        MPSDataType::Float16 | MPSDataType::BFloat16 => 2,
        other => broken(Rule::DataType, object, format!("MPSDataType {:#x}", other.0)),
    }
}

/// Reads an element; aligned or not.
///
/// # Safety
/// `address` must be readable for the width of the type.
pub unsafe fn get(address: usize, dtype: MPSDataType) -> f64 {
    match dtype {
        MPSDataType::Float32 => (address as *const f32).read_unaligned() as f64,
        MPSDataType::Float16 => (address as *const f16).read_unaligned().to_f64(),
        _ => (address as *const bf16).read_unaligned().to_f64(),
    }
}

/// Writes an element; as [`get`].
///
/// # Safety
/// `address` must be writable for the width of the type.
pub unsafe fn put(address: usize, dtype: MPSDataType, value: f64) {
    match dtype {
        MPSDataType::Float32 => (address as *mut f32).write_unaligned(value as f32),
        MPSDataType::Float16 => (address as *mut f16).write_unaligned(f16::from_f64(value)),
        _ => (address as *mut bf16).write_unaligned(bf16::from_f64(value)),
    }
}
