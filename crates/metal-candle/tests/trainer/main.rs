//! The run around the step on the CPU. `tests/metal.rs` runs the same tests on an Apple GPU.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod reduce;
mod run;

use candle_core::Device;

fn device() -> Device {
    Device::Cpu
}
