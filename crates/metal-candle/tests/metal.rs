//! The golden models on an Apple GPU: on a Mac, and in crates/soft-metal on Metal in software, with
//! the same expectations and tolerances as on the CPU. On other machines nothing is here.
#![cfg(any(target_vendor = "apple", soft_metal))]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use candle_core::Device;
use std::io::Write;
use support::{models, training};

/// A GPU. On Metal in software, what is made before it goes must be gone by then, with no rule broken.
fn gpu() -> Gpu {
    if let Some(reason) = metal_candle_mps::apple::obstacle(0) {
        leave_out(&reason);
    }
    #[cfg(soft_metal)]
    let guard = soft_metal::Guard::new();
    Gpu {
        device: Device::new_metal(0).unwrap(),
        _kernels: Kernels,
        #[cfg(soft_metal)]
        _guard: guard,
    }
}

/// Ends the process: none of these tests can run here. Not by `eprintln`, which a test that
/// passes keeps to itself.
fn leave_out(reason: &str) -> ! {
    let _ = writeln!(
        std::io::stderr(),
        "crates/metal-candle/tests/metal.rs is left out: {reason}"
    );
    std::process::exit(0)
}

/// Fields go in this order.
struct Gpu {
    device: Device,
    _kernels: Kernels,
    #[cfg(soft_metal)]
    _guard: soft_metal::Guard,
}

/// What was compiled.
struct Kernels;

impl Drop for Kernels {
    fn drop(&mut self) {
        metal_candle_kernels::release();
    }
}

#[test]
fn logits_equal_transformers() {
    models::logits_equal_transformers(&gpu().device);
}

#[test]
fn adapter_logits_equal_peft_beside_and_merged() {
    models::adapter_logits_equal_peft_beside_and_merged(&gpu().device);
}

#[test]
fn greedy_tokens_equal_transformers_with_and_without_cache() {
    models::greedy_tokens_equal_transformers_with_and_without_cache(&gpu().device);
}

#[test]
fn ten_losses_and_the_final_adapter_equal_peft() {
    let gpu = gpu();
    for name in ["qwen2", "qwen3"] {
        for variant in ["full", "masked"] {
            training::ten_losses_and_the_final_adapter_equal_peft(name, variant, &gpu.device);
        }
    }
}

#[test]
fn accumulated_gradients_equal_pytorch_for_every_split() {
    training::accumulated_gradients_equal_pytorch_for_every_split(&gpu().device);
}
