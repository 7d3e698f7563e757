//! The operations on an Apple GPU, through the checks that they pass on the CPU: on a Mac, and in crates/soft-metal on Metal
//! in software. On other machines nothing is here.
#![cfg(any(target_vendor = "apple", soft_metal))]
#![allow(clippy::unwrap_used, clippy::panic)]

use candle_core::Device;
use metal_candle_kernels::{ops, testkit};

/// Every so many-th case: dtypes, layouts and shapes alternate, and software is slow.
const EVERY: usize = if cfg!(soft_metal) { 4 } else { 1 };

/// What candle's kernel for a row times a matrix of `columns` columns cannot do here: where the last block of 32 columns leaves
/// a thread without any of its four, it passes the barrier in the loop over `inner`, which MSL forbids (`GEMVTKernel` in
/// `gemv.metal`; `crates/soft-metal/suite/tests/kernels/faults.rs` shows it).
fn has_a_barrier_in_divergent_flow(inner: usize, columns: usize) -> bool {
    cfg!(soft_metal) && inner >= 32 && !columns.next_multiple_of(4).is_multiple_of(32)
}

macro_rules! on_the_gpu {
    ($($op:ident where $possible:expr;)*) => {$(
        #[test]
        fn $op() {
            // Until its end no rule is broken, and what is made is gone by then.
            #[cfg(soft_metal)]
            let _guard = soft_metal::Guard::comparing();
            let device = Device::new_metal(0).unwrap();
            let possible: fn(&ops::$op::cases::Shape) -> bool = $possible;
            for case in ops::$op::cases::small().iter().step_by(EVERY).filter(|case| possible(&case.shape)) {
                let problem = ops::$op::check::problem(case);
                let result = testkit::check(&problem, case.dtype, &device);
                result.unwrap_or_else(|failure| panic!("{case:?}: {failure}"));
            }
            metal_candle_kernels::release();
        }
    )*};
}

on_the_gpu! {
    attention where |_| true;
    // One of its implementations takes a row at a time.
    linear_cross_entropy where |s| !has_a_barrier_in_divergent_flow(s.vocabulary, s.width);
    lora_linear where |_| true;
    matmul where |_| true;
    rms_norm where |_| true;
    rope where |_| true;
    softmax where |_| true;
    swiglu where |_| true;
}

#[test]
fn adamw() {
    #[cfg(soft_metal)]
    let _guard = soft_metal::Guard::comparing();
    ops::adamw::check::check(&Device::new_metal(0).unwrap()).unwrap_or_else(|f| panic!("{f}"));
    metal_candle_kernels::release();
}
