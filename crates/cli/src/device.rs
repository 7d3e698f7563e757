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
            DeviceChoice::Auto | DeviceChoice::Cpu => Ok(Device::Cpu),
            DeviceChoice::Metal => Err(not_built("metal")),
            DeviceChoice::Cuda => Err(not_built("cuda")),
        }
    }
}

/// A device as `--device` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The best that there is.
    Auto,
    /// The processor.
    Cpu,
    /// An Apple GPU.
    Metal,
    /// An NVIDIA GPU.
    Cuda,
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (kind, number) = match text.split_once(':') {
            Some((kind, number)) => (kind, Some(number)),
            None => (text, None),
        };
        let numbered = number.is_none_or(|number| number.parse::<usize>().is_ok());
        match kind {
            "auto" if number.is_none() => Ok(Self::Auto),
            "cpu" if number.is_none() => Ok(Self::Cpu),
            "metal" if numbered => Ok(Self::Metal),
            "cuda" if numbered => Ok(Self::Cuda),
            _ => Err("expected auto, cpu, metal, metal:N, cuda or cuda:N".into()),
        }
    }
}

fn not_built(name: &str) -> Error {
    Error::input(format!(
        "--device {name}: this version computes on the CPU only"
    ))
    .with_advice("leave --device out, or use --device cpu")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_parsed_strictly() {
        assert_eq!("metal:1".parse(), Ok(DeviceChoice::Metal));
        assert_eq!("auto".parse(), Ok(DeviceChoice::Auto));
        for wrong in ["", "gpu", "cpu:0", "cuda:", "cuda:x", "Metal"] {
            assert!(wrong.parse::<DeviceChoice>().is_err(), "{wrong}");
        }
    }
}
