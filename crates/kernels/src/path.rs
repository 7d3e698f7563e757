//! The only place that chooses between a kernel and the reference.

use candle_core::{DType, Device};
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

/// Chooses the path of `op` for inputs of `dtype` on `device`.
///
/// `cpu_kernel` says whether the operation has a CPU kernel for this dtype. A fallback is logged
/// once per operation and reason.
pub(crate) fn choose(op: &'static str, device: &Device, dtype: DType, cpu_kernel: bool) -> Path {
    if device.is_cpu() && cpu_kernel {
        return Path::Kernel;
    }
    say_once(op, device, dtype);
    Path::Reference
}

fn say_once(op: &'static str, device: &Device, dtype: DType) {
    static SAID: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    let key = format!("{op} {:?} {dtype:?}", device.location());
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if said.get_or_insert_default().insert(key) {
        let location = device.location();
        tracing::debug!(
            op,
            ?location,
            ?dtype,
            "no kernel: computed by the reference"
        );
    }
}
