//! Capabilities: what the GPU and the system are, and what they can do.

use candle_metal_kernels::metal::Device;
use objc2::{ClassType, sel};
use objc2_foundation::NSProcessInfo;
use objc2_metal::MTLDevice;
use objc2_metal_performance_shaders::{MPSNDArrayMatrixMultiplication, MPSSupportsMTLDevice};

use crate::order::{Key, Strategy};
use crate::policy::Caps;

const NDARRAY_MACOS: u32 = 15;
const BF16_MACOS: u32 = 14;

/// What plans and policy ask for.
pub fn caps(device: &Device) -> Caps {
    let version = NSProcessInfo::processInfo().operatingSystemVersion();
    let [major, minor] = [version.majorVersion, version.minorVersion];
    let macos = [major, minor].map(|number| u32::try_from(number).unwrap_or(0));
    // SAFETY: it is a question, and the device is one.
    let mps = unsafe { MPSSupportsMTLDevice(Some(device.as_ref())) };
    Caps {
        architecture: device.architecture_name(),
        macos: macos.into(),
        mps,
        ndarray: mps && macos[0] >= NDARRAY_MACOS && encodes_to_encoders(),
        bf16: mps && macos[0] >= BF16_MACOS,
    }
}

/// What measurements and litmus tests of a strategy are found by.
pub fn key(device: &Device, strategy: Strategy) -> Key {
    let gpu = device.as_ref().name().to_string();
    let system = NSProcessInfo::processInfo().operatingSystemVersionString();
    Key::new(
        &device.architecture_name(),
        &gpu,
        &system.to_string(),
        strategy,
    )
}

fn encodes_to_encoders() -> bool {
    let selector = sel!(encodeToCommandEncoder:commandBuffer:sourceArrays:destinationArray:);
    MPSNDArrayMatrixMultiplication::class().responds_to(selector)
}
