//! `--device`: where tensors live.

use crate::error::{Error, Result};
use candle_core::Device;
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
        match self.device {
            DeviceChoice::Auto if cfg!(target_vendor = "apple") && n_gpus() > 0 => metal(0),
            DeviceChoice::Auto | DeviceChoice::Cpu => Ok(Device::Cpu),
            DeviceChoice::Metal(number) => metal(number),
            DeviceChoice::Cuda(_) => Err(not_built("cuda")),
        }
    }
}

/// A device as `--device` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// An Apple GPU on a Mac that has one, the processor elsewhere.
    Auto,
    /// The processor.
    Cpu,
    /// The Apple GPU of this number.
    Metal(usize),
    /// The NVIDIA GPU of this number.
    Cuda(usize),
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

/// Whether candle's Metal backend is built in; the manifests ask the same question.
const HAS_METAL: bool = cfg!(any(target_vendor = "apple", soft_metal));

/// How many Apple GPUs there are. candle panics past the last one.
fn n_gpus() -> usize {
    #[cfg(any(target_vendor = "apple", soft_metal))]
    let n = candle_metal_kernels::metal::Device::all().len();
    #[cfg(not(any(target_vendor = "apple", soft_metal)))]
    let n = 0;
    n
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
    Device::new_metal(number).map_err(|e| Error::failed(format!("--device metal:{number}: {e}")))
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
    fn devices_are_parsed_strictly() {
        assert_eq!("metal:1".parse(), Ok(DeviceChoice::Metal(1)));
        assert_eq!("metal".parse(), Ok(DeviceChoice::Metal(0)));
        assert_eq!("auto".parse(), Ok(DeviceChoice::Auto));
        for wrong in ["", "gpu", "cpu:0", "cuda:", "cuda:x", "Metal"] {
            assert!(wrong.parse::<DeviceChoice>().is_err(), "{wrong}");
        }
    }
}
