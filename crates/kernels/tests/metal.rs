//! The operations on an Apple GPU, through the checks that they pass on the CPU: on a Mac, and in crates/soft-metal on Metal
//! in software. On other machines nothing is here.
#![cfg(any(target_vendor = "apple", soft_metal))]
#![allow(clippy::unwrap_used, clippy::panic)]

use candle_core::Device;
use metal_candle_kernels::ops::linear_cross_entropy::{cases, check};
use metal_candle_kernels::testkit::{Failure, check_cases};
use metal_candle_kernels::{ops, release};

/// Runs a check; until its end no rule of Metal is broken, and what is made is gone by then.
fn on_the_gpu(check: impl FnOnce(&Device) -> Result<(), Failure>) {
    #[cfg(soft_metal)]
    let _guard = soft_metal::Guard::comparing();
    let result = check(&Device::new_metal(0).unwrap());
    release();
    result.unwrap_or_else(|failure| panic!("{failure}"));
}

macro_rules! operations {
    ($($op:ident)*) => {$(
        #[test]
        fn $op() {
            on_the_gpu(ops::$op::check::check);
        }
    )*};
}

operations! { adamw attention lora_linear matmul rms_norm rope softmax swiglu }

/// What candle's kernel for a row times a matrix of `columns` columns cannot do here: where the last block of 32 columns leaves
/// a thread without any of its four, it passes the barrier in the loop over `inner`, which MSL forbids (`GEMVTKernel` in
/// `gemv.metal`; `crates/soft-metal/suite/tests/kernels/faults.rs` shows it).
fn has_a_barrier_in_divergent_flow(inner: usize, columns: usize) -> bool {
    cfg!(soft_metal) && inner >= 32 && !columns.next_multiple_of(4).is_multiple_of(32)
}

/// One of its implementations takes a row at a time.
#[test]
fn linear_cross_entropy() {
    let mut cases = cases::small();
    cases.retain(|case| !has_a_barrier_in_divergent_flow(case.shape.vocabulary, case.shape.width));
    on_the_gpu(|device| check_cases(&cases, check::problem, device));
}
