//! The operations on an Apple GPU, through the checks that they pass on the CPU: on a Mac, and in crates/soft-metal on Metal
//! in software. On other machines nothing is here.
#![cfg(any(target_vendor = "apple", soft_metal))]
#![allow(clippy::unwrap_used, clippy::panic)]

use candle_core::Device;
use metal_candle_kernels::{ops, testkit};

/// Every so many-th case: dtypes, layouts and shapes alternate, and software is slow.
const EVERY: usize = if cfg!(soft_metal) { 11 } else { 1 };

macro_rules! on_the_gpu {
    ($($op:ident),* $(,)?) => {$(
        #[test]
        fn $op() {
            // Until its end no rule is broken, and what is made is gone by then.
            #[cfg(soft_metal)]
            let _guard = soft_metal::Guard::new();
            let device = Device::new_metal(0).unwrap();
            for case in ops::$op::cases::small().iter().step_by(EVERY) {
                let problem = ops::$op::check::problem(case);
                let result = testkit::check(&problem, case.dtype, &device);
                result.unwrap_or_else(|failure| panic!("{case:?}: {failure}"));
            }
            metal_candle_kernels::release();
        }
    )*};
}

on_the_gpu! {
    attention,
    linear_cross_entropy,
    lora_linear,
    matmul,
    rms_norm,
    rope,
    softmax,
    swiglu,
}

#[test]
fn adamw() {
    #[cfg(soft_metal)]
    let _guard = soft_metal::Guard::new();
    ops::adamw::check::check(&Device::new_metal(0).unwrap()).unwrap_or_else(|f| panic!("{f}"));
    metal_candle_kernels::release();
}
