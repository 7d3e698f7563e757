//! Last good parameters of a run that came to numbers that are not finite.

use super::Run;
use crate::train::optimizer::is_finite;
use crate::train::{Error, Network, Result};
use std::path::Path;

impl<N: Network> Run<'_, '_, N> {
    pub(super) fn check_update(&self) -> Result<()> {
        let (step, parameters) = (self.summary.steps, self.trainer.parameters);
        for parameter in parameters.as_slice() {
            if !is_finite(&parameter.var)? {
                let what = format!("parameter {}", parameter.name);
                return Err(Error::Ruined { step, what });
            }
        }
        match self.optimizer.not_finite(parameters)? {
            Some(what) => Err(Error::Ruined { step, what }),
            None => Ok(()),
        }
    }

    /// Takes the parameters back to those that still gave a finite loss, and makes them the folder's.
    pub(super) fn keep(&self, error: &Error) {
        let is_ruined = matches!(
            error,
            Error::NotFinite { .. } | Error::Ruined { .. } | Error::Validation { .. }
        );
        if !is_ruined {
            return;
        }
        match self.keep_last_good() {
            Ok(Some((step, folder))) => {
                tracing::warn!(
                    "the last good parameters, those after step {step}, are in {}",
                    folder.display()
                );
            }
            Ok(None) => {}
            Err(second) => tracing::error!("cannot keep the last good parameters: {second}"),
        }
    }

    /// The step that led to the last good parameters, and the folder that holds them.
    fn keep_last_good(&self) -> Result<Option<(usize, &Path)>> {
        let trainer = self.trainer;
        let step = self.last_good.restore(trainer.parameters)?;
        let (Some(step), Some(saves)) = (step, &trainer.saves) else {
            return Ok(None);
        };
        saves.go_back_to(step, trainer.parameters)?;
        Ok(Some((step, saves.path())))
    }
}
