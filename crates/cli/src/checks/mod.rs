//! Checks of a device: does it compute what it should? Every operation, a training, and the order of work on a GPU, each in a
//! process of its own, since a GPU's driver may hang or end the process.

mod apart;
#[cfg(any(target_vendor = "apple", soft_metal))]
mod gpu;
#[cfg(any(test, target_vendor = "apple", soft_metal))]
mod record;

pub use apart::{Checked, run_apart};
#[cfg(any(target_vendor = "apple", soft_metal))]
pub use gpu::Kept;
#[cfg(any(test, target_vendor = "apple", soft_metal))]
pub use record::Proof;

use crate::error::{Error, Result};
use candle_core::{DType, Device};
use metal_candle::device::finish;
use metal_candle::self_test::training;
use metal_candle_kernels::ops::CHECKS;

const TRAINING: &str = "training";
const TRAINING_BF16: &str = "training-bf16";
/// Test of whether MPS and candle keep their order, of GPUs only.
const LITMUS: &str = "litmus";

/// Names of all checks of a GPU.
pub fn names() -> Vec<&'static str> {
    let operations = CHECKS.iter().map(|(name, _)| *name);
    operations
        .chain([TRAINING, TRAINING_BF16, LITMUS])
        .collect()
}

/// Names of the checks of a processor.
pub fn names_of_cpu() -> Vec<&'static str> {
    let mut names = names();
    names.retain(|name| *name != LITMUS);
    names
}

/// Makes the check of this name, in this process.
///
/// # Errors
/// How the device failed, with what it computed and what it should.
pub fn run(name: &str, device: &Device) -> Result<()> {
    match (name, device) {
        (TRAINING, _) => training(DType::F32, device).map_err(Error::failed)?,
        (TRAINING_BF16, _) => training(DType::BF16, device).map_err(Error::failed)?,
        #[cfg(any(target_vendor = "apple", soft_metal))]
        (LITMUS, Device::Metal(metal)) => gpu::litmus(metal)?,
        _ => operation(name, device)?,
    }
    Ok(finish(device)?)
}

fn operation(name: &str, device: &Device) -> Result<()> {
    let found = CHECKS.iter().find(|(operation, _)| *operation == name);
    let no_check = || Error::input(format!("there is no check {name} of this device"));
    let (_, check) = found.ok_or_else(no_check)?;
    check(device).map_err(Error::failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_has_every_check_but_that_of_gpus() {
        assert_eq!(names_of_cpu().len(), CHECKS.len() + 2);
        assert!(run("softcap", &Device::Cpu).is_ok());
        let error = run(LITMUS, &Device::Cpu).unwrap_err();
        assert_eq!(error.message(), "there is no check litmus of this device");
    }
}
