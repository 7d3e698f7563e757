//! What the GPU and the system can do.

use candle_metal_kernels::metal::Device;
use objc2::{ClassType, sel};
use objc2_foundation::NSProcessInfo;
use objc2_metal_performance_shaders::{MPSNDArrayMatrixMultiplication, MPSSupportsMTLDevice};

use crate::order::Machine;

/// What was found when a device was first used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caps {
    /// What litmus tests and calibrations of this machine are found by.
    pub machine: Machine,
    /// Major and minor version of macOS.
    pub macos: (usize, usize),
    /// Whether MPS runs on the GPU.
    pub mps: bool,
    /// Whether `MPSNDArrayMatrixMultiplication`, which has bfloat16, encodes into an encoder that it is given, and
    /// arrays are made over buffers (macOS 15).
    pub ndarray: bool,
}

const NDARRAY_MACOS: usize = 15;

impl Caps {
    pub(super) fn of(device: &Device) -> Self {
        let info = NSProcessInfo::processInfo();
        let version = info.operatingSystemVersion();
        let major = usize::try_from(version.majorVersion).unwrap_or(0);
        let minor = usize::try_from(version.minorVersion).unwrap_or(0);
        // SAFETY: it is a question, and the device is one.
        let mps = unsafe { MPSSupportsMTLDevice(Some(device.as_ref())) };
        let machine = Machine {
            architecture: device.architecture_name(),
            system: info.operatingSystemVersionString().to_string(),
            crate_version: env!("CARGO_PKG_VERSION").into(),
        };
        Self {
            machine,
            macos: (major, minor),
            mps,
            ndarray: mps && major >= NDARRAY_MACOS && encodes_to_encoders(),
        }
    }
}

fn encodes_to_encoders() -> bool {
    let selector = sel!(encodeToCommandEncoder:commandBuffer:sourceArrays:destinationArray:);
    MPSNDArrayMatrixMultiplication::class().responds_to(selector)
}
