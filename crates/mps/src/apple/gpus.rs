//! The GPUs of this machine.

use candle_metal_kernels::metal::Device;
use objc2_metal::{MTLDevice, MTLGPUFamily};

/// How many there are. candle panics past the last one.
pub fn gpus() -> usize {
    Device::all().len()
}

/// Why kernels of candle's and ours do not run on the GPU of this number; `None` where they do.
///
/// They multiply by matrices of SIMD groups, which every GPU of Apple's own has that a Mac was ever
/// sold with (family Apple7, M1), and the virtual ones of hosted machines do not.
pub fn obstacle(number: usize) -> Option<String> {
    let devices = Device::all();
    let Some(device) = devices.get(number) else {
        return Some(format!("there is no Apple GPU {number}"));
    };
    let raw = device.as_ref();
    let name = raw.name();
    let suffices = raw.supportsFamily(MTLGPUFamily::Apple7);
    (!suffices).then(|| format!("{name} is less than Apple7, the family of M1"))
}
