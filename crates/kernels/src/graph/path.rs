//! The only place that chooses between a kernel and the reference.

use crate::Result;
use candle_core::{DType, Device, Tensor};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// The kernels of an operation, a line for each device; where there is none, the reference computes
/// it.
pub(crate) struct Devices<K> {
    pub(crate) cpu: Option<K>,
    pub(crate) metal: Option<K>,
    pub(crate) cuda: Option<K>,
}

/// An operation on one device: `Kernel::run`.
pub(crate) type KernelFn<O, const N: usize, const M: usize = 1> =
    fn(O, [&Tensor; N]) -> Result<[Tensor; M]>;

/// The kernel for Apple GPUs, on targets that have them.
#[cfg(any(target_vendor = "apple", soft_metal))]
macro_rules! metal {
    ($kernel:expr) => {
        Some($kernel)
    };
}
#[cfg(not(any(target_vendor = "apple", soft_metal)))]
macro_rules! metal {
    ($kernel:expr) => {
        None
    };
}
pub(crate) use metal;

impl<K: Copy> Devices<K> {
    /// The kernel of `op` for `first` and `others`, its float tensors, frozen ones included.
    ///
    /// Kernels compute in float32 inside: every dtype but f64, which only the reference keeps. That
    /// there is none is logged once per operation and reason.
    pub(crate) fn kernel<'a>(
        &self,
        op: &'static str,
        first: &'a Tensor,
        others: impl IntoIterator<Item = &'a Tensor>,
    ) -> Option<K> {
        let kernel = match first.device() {
            Device::Cpu => self.cpu,
            Device::Metal(_) => self.metal,
            Device::Cuda(_) => self.cuda,
        };
        let known = |t: &Tensor| matches!(t.dtype(), DType::F32 | DType::F16 | DType::BF16);
        let mut all = [first].into_iter().chain(others);
        match all.find(|t| kernel.is_none() || !known(t)) {
            None => kernel,
            Some(reason) => {
                say_once(op, reason);
                None
            }
        }
    }
}

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
