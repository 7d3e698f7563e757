//! `--device`: where tensors live.

#[cfg(any(target_vendor = "apple", soft_metal))]
use crate::checks::Kept;
#[cfg(any(test, target_vendor = "apple", soft_metal))]
use crate::checks::Proof;
use crate::counted_memory;
use crate::error::{Error, Result};
use candle_core::Device;
use metal_candle::device::finish;
use std::fmt;
use std::str::FromStr;

/// The option, to be flattened into those of a command.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct DeviceArgs {
    /// auto, cpu, metal[:N] or cuda[:N]
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: DeviceChoice,
}

impl DeviceArgs {
    /// The device that was asked for.
    ///
    /// # Errors
    /// When there is none such.
    pub fn open(self) -> Result<Device> {
        self.device.open()
    }
}

/// A device as `--device` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// An Apple GPU where there is one that has passed its checks, the processor elsewhere.
    Auto,
    /// The processor.
    Cpu,
    /// The Apple GPU of this number.
    Metal(usize),
    /// The NVIDIA GPU of this number.
    Cuda(usize),
}

impl DeviceChoice {
    /// The device of this name. An Apple GPU is used by what was measured on it, if it was.
    ///
    /// # Errors
    /// When there is none such.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Auto if obstacle(0).is_none() => Ok(proven_or_cpu()),
            Self::Auto | Self::Cpu => Ok(Device::Cpu),
            Self::Metal(number) => metal(number),
            Self::Cuda(_) => Err(not_built("cuda")),
        }
    }

    /// The first Apple GPU instead of [`Self::Auto`] where kernels run on it, whether or not it was checked.
    #[must_use]
    pub fn preferring_gpu(self) -> Self {
        match self {
            Self::Auto if obstacle(0).is_none() => Self::Metal(0),
            Self::Auto => Self::Cpu,
            named => named,
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (kind, number) = match text.split_once(':') {
            Some((kind, number)) => (kind, Some(number)),
            None => (text, None),
        };
        let index = number.map_or(Ok(0), str::parse);
        match (kind, index) {
            ("auto", _) if number.is_none() => Ok(Self::Auto),
            ("cpu", _) if number.is_none() => Ok(Self::Cpu),
            ("metal", Ok(index)) => Ok(Self::Metal(index)),
            ("cuda", Ok(index)) => Ok(Self::Cuda(index)),
            _ => Err("expected auto, cpu, metal, metal:N, cuda or cuda:N".into()),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Metal(number) => write!(f, "metal:{number}"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

/// Runs `work`, and gives the most bytes of `device` that it held at once beyond what was held
/// before; `None` where the device does not tell.
///
/// On Metal these are the buffers that candle took from the system, which are rounded up to powers
/// of two: what `work` let go of is among them, because candle returns nothing before it waits.
///
/// # Errors
/// Those of `work`, or the device's.
pub fn peak_bytes<T>(
    device: &Device,
    work: impl FnOnce() -> Result<T>,
) -> Result<(T, Option<u64>)> {
    if device.is_cpu() {
        let (result, bytes) = counted_memory::peak_bytes(work);
        return Ok((result?, Some(bytes)));
    }
    finish(device)?;
    let before = allocated_bytes(device);
    let result = work()?;
    let after = allocated_bytes(device);
    let bytes = after
        .zip(before)
        .and_then(|(after, before)| after.checked_sub(before));
    Ok((result, bytes))
}

/// All buffers of the device; `None` where it does not tell.
fn allocated_bytes(device: &Device) -> Option<u64> {
    match device {
        #[cfg(any(target_vendor = "apple", soft_metal))]
        Device::Metal(metal) => u64::try_from(metal.current_allocated_size()).ok(),
        _ => None,
    }
}

/// Whether candle's Metal backend is built in; the manifests ask the same question.
pub const HAS_METAL: bool = cfg!(any(target_vendor = "apple", soft_metal));

/// How many Apple GPUs there are. candle panics past the last one.
pub fn n_gpus() -> usize {
    #[cfg(any(target_vendor = "apple", soft_metal))]
    let n = metal_candle_mps::apple::gpus();
    #[cfg(not(any(target_vendor = "apple", soft_metal)))]
    let n = 0;
    n
}

/// Why kernels do not run on the Apple GPU of this number; `None` where they do.
pub fn obstacle(number: usize) -> Option<String> {
    #[cfg(any(target_vendor = "apple", soft_metal))]
    let obstacle = metal_candle_mps::apple::obstacle(number);
    #[cfg(not(any(target_vendor = "apple", soft_metal)))]
    let obstacle = Some(format!(
        "this build knows no Apple GPU, {number} among them"
    ));
    obstacle
}

fn metal(number: usize) -> Result<Device> {
    if !HAS_METAL {
        return Err(not_built("metal"));
    }
    let n = n_gpus();
    if number >= n {
        let text = format!("--device metal:{number}: {n} Apple GPUs were found, the first is 0");
        return Err(Error::input(text));
    }
    if let Some(obstacle) = obstacle(number) {
        return Err(Error::input(format!("--device metal:{number}: {obstacle}")));
    }
    let device = Device::new_metal(number);
    let device = device.map_err(|e| Error::failed(format!("--device metal:{number}: {e}")))?;
    #[cfg(any(target_vendor = "apple", soft_metal))]
    if let Device::Metal(metal) = &device {
        crate::calibration::take_up(metal);
    }
    Ok(device)
}

/// The first GPU if it has passed its checks; else the processor, and why is told.
#[cfg(any(target_vendor = "apple", soft_metal))]
fn proven_or_cpu() -> Device {
    metal(0).and_then(proven).unwrap_or_else(|error| {
        let reason = error.message();
        tracing::warn!("the GPU is not used, but the CPU: {reason}");
        Device::Cpu
    })
}

#[cfg(not(any(target_vendor = "apple", soft_metal)))]
fn proven_or_cpu() -> Device {
    Device::Cpu
}

/// A GPU that has passed its checks.
#[cfg(any(target_vendor = "apple", soft_metal))]
fn proven(device: Device) -> Result<Device> {
    let Device::Metal(gpu) = &device else {
        return Ok(device);
    };
    match Kept::of(gpu)?.proof() {
        Proof::Passed => Ok(device),
        proof => Err(Error::failed(unproven(&proof))),
    }
}

/// Reason why a GPU is not used, and what to do about it.
#[cfg(any(test, target_vendor = "apple", soft_metal))]
fn unproven(proof: &Proof) -> String {
    format!("{proof}; `metal-candle doctor --check` checks it, --device metal uses it all the same")
}

fn not_built(name: &str) -> Error {
    let has = if HAS_METAL { "cpu and metal" } else { "cpu" };
    Error::input(format!("--device {name}: this build has {has} only"))
        .with_advice("leave --device out, or use --device cpu")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_gpu_is_not_used_is_one_line() {
        assert_eq!(
            unproven(&Proof::Unchecked),
            "it was never checked; `metal-candle doctor --check` checks it, --device metal uses it all the same"
        );
        let failed = unproven(&Proof::Failed(vec!["softmax".into(), "litmus".into()]));
        assert!(
            failed.starts_with("it did not pass softmax, litmus;"),
            "{failed}"
        );
    }

    #[test]
    fn a_gpu_is_preferred_where_there_is_one() {
        let preferred = DeviceChoice::Auto.preferring_gpu();
        let gpu = obstacle(0).is_none().then_some(DeviceChoice::Metal(0));
        assert_eq!(preferred, gpu.unwrap_or(DeviceChoice::Cpu));
        for named in [DeviceChoice::Cpu, DeviceChoice::Metal(1)] {
            assert_eq!(named.preferring_gpu(), named);
        }
    }

    #[test]
    fn devices_are_parsed_strictly() {
        assert_eq!("metal:1".parse(), Ok(DeviceChoice::Metal(1)));
        assert_eq!("metal".parse(), Ok(DeviceChoice::Metal(0)));
        assert_eq!("auto".parse(), Ok(DeviceChoice::Auto));
        for name in ["auto", "cpu", "metal:2", "cuda:0"] {
            assert_eq!(name.parse::<DeviceChoice>().unwrap().to_string(), name);
        }
        for wrong in ["", "gpu", "cpu:0", "cuda:", "cuda:x", "Metal"] {
            assert!(wrong.parse::<DeviceChoice>().is_err(), "{wrong}");
        }
    }
}
