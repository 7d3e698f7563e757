use super::best::Stand;
use super::checkpoint::OPTIMIZER;
use super::{Optimizer, Output, Parameters, Result, RunFolder};
use serde_json::Value;
use std::path::Path;

/// Place where a run is saved: adapter or model, optimizer and settings, as one checkpoint.
#[derive(Clone, Copy, Debug)]
pub struct Saves<'a> {
    /// What is written.
    pub output: &'a Output,
    /// Where it is written.
    pub folder: &'a RunFolder,
    /// What else the run was told, for `run.json`.
    pub settings: &'a Value,
}

impl Saves<'_> {
    /// The folder of the run.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Saves what the steps until here came to.
    pub(super) fn save(
        &self,
        stand: Stand,
        parameters: &Parameters,
        optimizer: &Optimizer,
    ) -> Result<()> {
        self.folder.save(stand, self.settings, |folder| {
            self.output.save(folder, parameters)?;
            optimizer.save(&folder.join(OPTIMIZER), parameters)
        })
    }

    /// Makes the parameters after `step` steps the folder's: from the checkpoint that was saved of
    /// them, or without an optimizer's state.
    pub(super) fn go_back_to(&self, step: usize, parameters: &Parameters) -> Result<()> {
        if self.folder.go_back_to(step)? {
            return Ok(());
        }
        let stand = Stand {
            step,
            ..Stand::default()
        };
        self.folder.save(stand, self.settings, |folder| {
            self.output.save(folder, parameters)
        })
    }
}
