//! Checkpoints of a run: when they are written, and which of them stay.

use super::Run;
use crate::train::{Ending, Event, Network, Result};

impl<N: Network> Run<'_, '_, N> {
    /// Saves the steps that are not saved yet.
    pub(in crate::train) fn save_rest(&mut self) -> Result<()> {
        match self.summary.steps > self.saved {
            true => self.save(),
            false => Ok(()),
        }
    }

    /// Saves what the steps came to, if it is of use: no step behind it would show that it is not.
    pub(super) fn save(&mut self) -> Result<()> {
        let step = self.summary.steps;
        self.check_update().inspect_err(|error| self.keep(error))?;
        self.saved = step;
        let trainer = self.trainer;
        let Some(saves) = trainer.saves else {
            return Ok(());
        };
        let stand = self.watch.stand(step);
        saves.save(stand, trainer.parameters, self.optimizer)?;
        self.summary.kept_step = step;
        self.remove_oldest()?;
        let folder = saves.path().to_path_buf();
        (self.observe)(&Event::Saved { step, folder })
    }

    /// Removes checkpoints over the limit.
    fn remove_oldest(&self) -> Result<()> {
        let options = self.trainer.options;
        let (Some(saves), Some(limit)) = (self.trainer.saves, options.save_total_limit) else {
            return Ok(());
        };
        let best = self.watch.best.filter(|_| options.keep_best);
        let kept = best.into_iter().map(|best| best.step);
        let kept: Vec<usize> = kept.chain([self.summary.kept_step]).collect();
        saves.folder.remove_oldest(limit, &kept)
    }

    /// Makes the parameters of the lowest validation loss those of the folder. A run that was stopped goes on where it
    /// stands.
    pub(in crate::train) fn keep_best(&mut self) -> Result<()> {
        let (Some(saves), Some(best)) = (self.trainer.saves, self.watch.best) else {
            return Ok(());
        };
        let is_wanted = self.trainer.options.keep_best && self.summary.ending != Ending::Stopped;
        if is_wanted && best.step != self.summary.kept_step && saves.folder.go_back_to(best.step)? {
            self.summary.kept_step = best.step;
        }
        Ok(())
    }
}
