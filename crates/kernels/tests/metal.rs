//! Every operation on an Apple GPU, through the checks that it passes on the CPU: on a Mac, and in crates/soft-metal on
//! Metal in software. On other machines nothing is here.
#![cfg(any(target_vendor = "apple", soft_metal))]

use candle_core::Device;
use metal_candle_kernels::ops;

macro_rules! on_the_gpu {
    ($($op:ident),* $(,)?) => {$(
        #[test]
        fn $op() {
            // Until its end no rule is broken, and what is made is gone by then.
            #[cfg(soft_metal)]
            let _guard = soft_metal::Guard::new();
            let device = Device::new_metal(0).unwrap();
            ops::$op::check::check(&device).unwrap_or_else(|failure| panic!("{failure}"));
        }
    )*};
}

on_the_gpu!(
    adamw,
    attention,
    linear_cross_entropy,
    lora_linear,
    matmul,
    rms_norm,
    rope,
    softmax,
    swiglu,
);
