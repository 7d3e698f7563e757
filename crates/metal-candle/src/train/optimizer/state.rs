use super::super::{Error, Result};
use super::STEP;
use super::rule::Slot;
use crate::files;
use candle_core::{DType, Device, Tensor, Var};
use std::collections::HashMap;
use std::path::Path;

/// More steps than any run takes, and few enough to count on.
const MOST_STEPS: usize = 1 << 48;

/// Tensors of a saved state, on the host.
pub(super) struct StateFile<'a> {
    path: &'a Path,
    rule: &'static str,
    tensors: HashMap<String, Tensor>,
}

impl<'a> StateFile<'a> {
    pub(super) fn open(path: &'a Path, rule: &'static str) -> Result<Self> {
        let bytes = files::read_bytes(path)?;
        let read = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu);
        let tensors = read.map_err(|error| Error::OptimizerState {
            path: path.to_path_buf(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            path,
            rule,
            tensors,
        })
    }

    fn error(&self, reason: String) -> Error {
        Error::OptimizerState {
            path: self.path.to_path_buf(),
            reason,
        }
    }

    fn get(&self, name: &str) -> Result<&Tensor> {
        let found = self.tensors.get(name);
        found.ok_or_else(|| self.error(format!("missing {name}, which {} keeps", self.rule)))
    }

    /// The tensor of this name, of finite numbers in the slot's range.
    pub(super) fn values(&self, name: &str, slot: &Slot, device: &Device) -> Result<Var> {
        let values = self.get(name)?;
        if values.dims() != slot.dims {
            let (expected, got) = (&slot.dims, values.dims());
            return Err(self.error(format!("{name}: expected {expected:?}, got {got:?}")));
        }
        if values.dtype() != slot.dtype {
            let (expected, got) = (slot.dtype, values.dtype());
            return Err(self.error(format!("{name}: expected {expected:?}, got {got:?}")));
        }
        if slot.dtype == DType::F32 {
            self.check(name, values, slot)?;
        }
        Ok(Var::from_tensor(&values.to_device(device)?)?)
    }

    fn check(&self, name: &str, values: &Tensor, slot: &Slot) -> Result<()> {
        let numbers = values.flatten_all()?.to_vec1::<f32>()?;
        if let Some(x) = numbers.iter().find(|x| !x.is_finite() || **x < slot.least) {
            return Err(self.error(format!("{name} holds {x}, which no optimizer comes to")));
        }
        Ok(())
    }

    pub(super) fn steps(&self) -> Result<usize> {
        let steps = self.get(STEP)?;
        let value = match steps.dtype() == DType::I64 && steps.elem_count() == 1 {
            true => steps.flatten_all()?.to_vec1::<i64>()?[0],
            false => return Err(self.error(format!("{STEP}: expected one I64"))),
        };
        let known = usize::try_from(value)
            .ok()
            .filter(|steps| *steps <= MOST_STEPS);
        known.ok_or_else(|| self.error(format!("{STEP}: expected 0 to {MOST_STEPS}, got {value}")))
    }
}
