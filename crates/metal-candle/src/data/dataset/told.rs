//! Warnings of rows that are cut or left out.

use super::{Dataset, Options};
use crate::data::counted::rows;
use crate::data::error::{Error, Result};
use crate::data::notes::listed;
use crate::data::source::Unit;

impl Dataset {
    /// Logs what was cut and what is left out, a warning each.
    pub(super) fn tell(&self, options: &Options, unit: Unit) {
        let (path, limit) = (self.path.display(), options.max_seq_length);
        if self.truncated > 0 {
            let are_longer = rows(self.truncated, ("is", "are"));
            let were_cut = if self.truncated == 1 { "was" } else { "were" };
            tracing::warn!(
                "{path}: {are_longer} longer than {limit} tokens and {were_cut} cut, {} tokens in all",
                self.truncated_tokens
            );
        }
        let no_room = format!("a prompt that leaves no room for a completion in {limit} tokens");
        for (lines, what) in [
            (&self.untrainable, "no token to train"),
            (&self.identical, "the same tokens in both completions"),
            (&self.long_prompts, &no_room),
        ] {
            if !lines.is_empty() {
                let have = rows(lines.len(), ("has", "have"));
                let are = if lines.len() == 1 { "is" } else { "are" };
                let (unit, listed) = (unit.name(), listed(lines));
                tracing::warn!("{path}: {have} {what} and {are} left out: {unit} {listed}");
            }
        }
    }

    /// # Errors
    /// When there are no rows.
    pub(in crate::data) fn check_has_rows(&self) -> Result<()> {
        let path = self.path.clone();
        match self.examples.len() + self.n_untrained() {
            0 => Err(Error::EmptyFile { path }),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// When there are no rows, or none with anything to train.
    pub(in crate::data) fn check_not_empty(&self) -> Result<()> {
        self.check_has_rows()?;
        let (path, n_rows) = (self.path.clone(), self.n_untrained());
        match self.examples.is_empty() {
            true => Err(Error::NothingToTrain { path, n_rows }),
            false => Ok(()),
        }
    }

    /// Number of rows that are left out.
    pub(in crate::data) fn n_untrained(&self) -> usize {
        let useless = [&self.untrainable, &self.identical, &self.long_prompts];
        useless.into_iter().map(Vec::len).sum::<usize>() + self.left_out
    }
}
