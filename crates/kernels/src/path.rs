//! The only place that chooses between a kernel and the reference.

use candle_core::{DType, Device, Tensor};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// How an operation is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// By the operation's own kernel for this device.
    Kernel,
    /// By `reference.rs`, in plain candle operations.
    Reference,
}

/// Chooses the path of `op` for its float inputs.
///
/// Kernels exist for the CPU and for Apple GPUs, and compute in float32 inside: every dtype but
/// f64, which only the reference keeps. A fallback is logged once per operation and reason.
pub(crate) fn choose(op: &'static str, inputs: &[&Tensor]) -> Path {
    let known = |t: &Tensor| matches!(t.dtype(), DType::F32 | DType::F16 | DType::BF16);
    let has_kernels = |t: &Tensor| matches!(t.device(), Device::Cpu | Device::Metal(_));
    match inputs.iter().find(|t| !(has_kernels(t) && known(t))) {
        None => Path::Kernel,
        Some(other) => {
            say_once(op, other);
            Path::Reference
        }
    }
}

/// The expression for the device of a tensor that was chosen a kernel for.
macro_rules! by_device {
    ($tensor:expr, cpu: $cpu:expr, metal: $metal:expr) => {
        match $tensor.device() {
            #[cfg(any(target_vendor = "apple", soft_metal))]
            candle_core::Device::Metal(_) => $metal,
            _ => $cpu,
        }
    };
}
pub(crate) use by_device;

fn say_once(op: &'static str, input: &Tensor) {
    static SAID: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    let (location, dtype) = (input.device().location(), input.dtype());
    let key = format!("{op} {location:?} {dtype:?}");
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if said.get_or_insert_default().insert(key) {
        tracing::debug!(
            op,
            ?location,
            ?dtype,
            "no kernel: computed by the reference"
        );
    }
}
