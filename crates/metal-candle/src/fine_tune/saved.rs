//! Parameters as the folder of a run holds them.

use super::{Prepared, Result};
use crate::language_model::Adapted;
use crate::train::{Error, Output};
use crate::verify::Read;
use candle_core::Tensor;
use std::collections::BTreeMap;

/// File of the weights that a run over all of them leaves.
const WEIGHTS: &str = "model.safetensors";

impl Prepared {
    /// Every tensor in the folder of the run by its name.
    pub(super) fn read_saved(&self) -> Read {
        match self.output() {
            Output::Adapter { .. } => self.saved_adapter(),
            Output::Checkpoint { .. } => self.saved_weights(),
        }
    }

    fn saved_adapter(&self) -> Read {
        let adapted = Adapted::read(self.folder(), self.model(), self.base(), |_| {});
        let named = adapted.map_err(|error| error.to_string())?.set.parameters();
        let named = named.into_iter();
        Ok(named
            .map(|(name, var)| (name, var.as_detached_tensor()))
            .collect())
    }

    fn saved_weights(&self) -> Read {
        let device = self.model().decoder.device();
        let tensors = candle_core::safetensors::load(self.folder().join(WEIGHTS), device);
        let tensors = tensors.map_err(|error| error.to_string())?;
        Ok(tensors.into_iter().collect())
    }

    /// Gives the parameters the values in the folder of the run.
    pub(super) fn take_saved(&self) -> Result<()> {
        let wrong = |reason: String| Error::Checkpoint {
            folder: self.folder().to_path_buf(),
            reason,
        };
        let saved: BTreeMap<String, Tensor> =
            self.read_saved().map_err(wrong)?.into_iter().collect();
        for parameter in self.parameters().as_slice() {
            let name = &parameter.name;
            let value = saved
                .get(name)
                .ok_or_else(|| wrong(format!("{name} is missing")))?;
            parameter.var.set(value).map_err(Error::from)?;
        }
        Ok(())
    }
}
