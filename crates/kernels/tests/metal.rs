//! The operations on an Apple GPU, through the checks that they pass on the CPU: on a Mac, and in crates/soft-metal on Metal
//! in software. On other machines nothing is here.
#![cfg(any(target_vendor = "apple", soft_metal))]
#![allow(clippy::unwrap_used, clippy::panic)]

use candle_core::Device;
use metal_candle_kernels::testkit::Failure;
use metal_candle_kernels::{ops, release};
use std::io::Write;

/// Runs a check; until its end no rule of Metal is broken, and what is made is gone by then.
fn on_the_gpu(check: impl FnOnce(&Device) -> Result<(), Failure>) {
    if let Some(reason) = metal_candle_mps::apple::obstacle(0) {
        leave_out(&reason);
    }
    #[cfg(soft_metal)]
    let _guard = soft_metal::Guard::comparing();
    let result = check(&Device::new_metal(0).unwrap());
    release();
    result.unwrap_or_else(|failure| panic!("{failure}"));
}

/// Ends the process: none of these tests can run here. Not by `eprintln`, which a test that passes keeps to itself.
fn leave_out(reason: &str) -> ! {
    let _ = writeln!(
        std::io::stderr(),
        "crates/kernels/tests/metal.rs is left out: {reason}"
    );
    std::process::exit(0)
}

macro_rules! operations {
    ($($op:ident)*) => {$(
        #[test]
        fn $op() {
            on_the_gpu(ops::$op::check::check);
        }
    )*};
}

operations! { adamw attention glu linear_cross_entropy lora_linear matmul rms_norm rope softcap softmax }
