//! The GPUs of this machine.

use candle_metal_kernels::metal::Device;
use objc2::runtime::AnyClass;
use objc2_metal::{MTLDevice, MTLGPUFamily};

/// How many there are. candle panics past the last one.
pub fn gpus() -> usize {
    Device::all().len()
}

/// Why kernels of candle's and ours do not run on the GPU of this number; `None` where they do.
///
/// They multiply by matrices of SIMD groups, which every GPU of Apple's own has that a Mac was ever
/// sold with (family Apple7, M1), and the virtual ones of hosted machines do not. candle makes a
/// residency set for every device without asking whether the system has them, as it does from
/// macOS 15 on.
pub fn obstacle(number: usize) -> Option<String> {
    if AnyClass::get(c"MTLResidencySetDescriptor").is_none() {
        return Some("this system has no residency sets, as macOS 15 and later have".to_owned());
    }
    let devices = Device::all();
    let Some(device) = devices.get(number) else {
        return Some(format!("there is no Apple GPU {number}"));
    };
    let raw = device.as_ref();
    let name = raw.name();
    let suffices = raw.supportsFamily(MTLGPUFamily::Apple7);
    (!suffices).then(|| format!("{name} is less than Apple7, the family of M1"))
}
