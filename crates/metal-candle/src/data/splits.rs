//! Rows by what they are for: to train on, to watch the loss on, to report the loss on in the end.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use super::dataset::{Dataset, Options};
use super::error::{Error, Result};
use super::mlx_order::n_batches;
use super::source::{Records, Source};
use super::tokenizer::Tokenizer;

/// One part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// `train.jsonl`
    Train,
    /// `valid.jsonl`
    Valid,
    /// `test.jsonl`
    Test,
}

impl Split {
    /// All splits.
    pub const ALL: [Self; 3] = [Self::Train, Self::Valid, Self::Test];

    /// The split's file in `folder`.
    pub fn path(self, folder: &Path) -> PathBuf {
        folder.join(format!("{self}.jsonl"))
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::Valid => "valid",
            Self::Test => "test",
        })
    }
}

/// Share of the rows that is held out to watch the loss on, where data are one table and nothing is said.
const USUAL_SHARE: f64 = 0.05;

/// Rows that were held out to watch the loss on. They are chosen by what they say: the same rows in every run and
/// whatever their order, and equal rows are on one side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeldOut {
    /// Share that was asked for, or the usual one.
    pub share: f64,
    /// Number of rows.
    pub rows: usize,
}

/// The splits of a source, as far as they exist and were asked for.
#[derive(Debug, Clone)]
pub struct Splits {
    name: PathBuf,
    is_folder: bool,
    /// Rows to train on.
    pub train: Option<Dataset>,
    /// Rows to watch the loss on while training.
    pub valid: Option<Dataset>,
    /// Rows to report the loss on in the end.
    pub test: Option<Dataset>,
    /// How `valid` came out of `train`, where it did.
    pub held_out: Option<HeldOut>,
}

impl Splits {
    /// Reads those of the `wanted` splits that exist. Where there is nothing to watch the loss on, `share` of the rows to
    /// train on is held out; `None`: 5 % of data that are one table, nothing of a folder.
    ///
    /// # Errors
    /// Those of [`Dataset::load`]; when a share is to be held out and there is no need to.
    pub fn load(
        source: &Source,
        wanted: &[Split],
        share: Option<f64>,
        tokenizer: &Tokenizer,
        options: &Options,
    ) -> Result<Self> {
        let splits = Self::look(source, wanted, share, tokenizer, options)?;
        let all = [&splits.train, &splits.valid, &splits.test];
        all.into_iter()
            .flatten()
            .try_for_each(Dataset::check_not_empty)?;
        splits.tell_repeated();
        Ok(splits)
    }

    /// [`load`](Self::load), with splits of rows of which nothing can be trained.
    ///
    /// # Errors
    /// As [`load`](Self::load), but for such splits.
    pub fn look(
        source: &Source,
        wanted: &[Split],
        share: Option<f64>,
        tokenizer: &Tokenizer,
        options: &Options,
    ) -> Result<Self> {
        let mut opened = source.open(wanted)?;
        let read = |split: Split, records: &mut Vec<Records>| {
            let records = std::mem::take(records);
            let is_there = wanted.contains(&split) && !records.is_empty();
            is_there
                .then(|| Dataset::of(source, records, (tokenizer, options)))
                .transpose()
        };
        let mut splits = Self {
            name: source.name().to_owned(),
            is_folder: !source.is_whole(),
            train: read(Split::Train, &mut opened.train)?,
            valid: read(Split::Valid, &mut opened.valid)?,
            test: read(Split::Test, &mut opened.test)?,
            held_out: None,
        };
        if wanted.contains(&Split::Valid) {
            splits.hold_out(share)?;
        }
        [&splits.train, &splits.valid, &splits.test]
            .into_iter()
            .flatten()
            .try_for_each(Dataset::check_has_rows)?;
        Ok(splits)
    }

    fn hold_out(&mut self, asked: Option<f64>) -> Result<()> {
        let usual = if self.is_folder { 0.0 } else { USUAL_SHARE };
        let share = asked.unwrap_or(usual);
        match (&self.valid, asked) {
            (Some(_), Some(asked)) if asked > 0.0 => {
                return Err(Error::HasValid {
                    path: self.name.clone(),
                });
            }
            (Some(_), _) => return Ok(()),
            _ => {}
        }
        let train = self.train.as_mut().filter(|_| share > 0.0);
        self.valid = train.and_then(|train| train.hold_out(share));
        self.held_out = self.valid.as_ref().map(|valid| HeldOut {
            share,
            rows: valid.examples.len(),
        });
        Ok(())
    }

    /// Warns of rows to watch the loss on that are trained on as well.
    fn tell_repeated(&self) {
        let Some(train) = &self.train else {
            return;
        };
        for other in [&self.valid, &self.test].into_iter().flatten() {
            let (n_shared, n) = (other.shared_with(train), other.examples.len());
            let (which, elsewhere) = match other.path == train.path {
                true => (" to watch the loss on", "its rows to train on".to_owned()),
                false => ("", train.path.display().to_string()),
            };
            let path = other.path.display();
            match n_shared {
                0 => {}
                all if all == n => tracing::warn!(
                    "{path}: every row{which} is also in {elsewhere}, so that its loss says nothing about other text"
                ),
                some => tracing::warn!("{path}: {some} of {n} rows{which} are also in {elsewhere}"),
            }
        }
    }

    /// Tells why batches of a split ended early ([`Examples::check`](super::Examples::check)).
    ///
    /// # Errors
    /// When a row could not be read again.
    pub fn check(&self) -> Result<()> {
        let all = [&self.train, &self.valid, &self.test];
        let mut all = all.into_iter().flatten();
        all.try_for_each(|dataset| dataset.examples.check())
    }

    /// Optimizer steps of `rows_per_step` rows that pass so many times over the rows to train on, one at least. The last
    /// step of an epoch may be smaller.
    pub fn steps(&self, epochs: f64, rows_per_step: usize) -> usize {
        let n_rows = self.train.as_ref().map_or(0, |train| train.examples.len());
        let per_epoch = n_rows.div_ceil(rows_per_step.max(1));
        passes(epochs, per_epoch)
    }

    /// Batches of so many rows that pass so many times over the rows to train on as mlx-lm takes them, one at least: rows that
    /// fill no batch are left out.
    pub fn mlx_batches(&self, epochs: f64, batch_size: NonZeroUsize) -> usize {
        let n_rows = self.train.as_ref().map_or(0, |train| train.examples.len());
        passes(epochs, n_batches(n_rows, batch_size))
    }

    /// A split that has to be there.
    ///
    /// # Errors
    /// [`Error::MissingSplit`] with the path where it was looked for, [`Error::NoSplit`] where it was not looked for in a
    /// folder.
    pub fn require(&self, split: Split) -> Result<&Dataset> {
        let dataset = match split {
            Split::Train => &self.train,
            Split::Valid => &self.valid,
            Split::Test => &self.test,
        };
        dataset.as_ref().ok_or_else(|| match self.is_folder {
            true => Error::MissingSplit {
                split,
                path: split.path(&self.name),
            },
            false => Error::NoSplit {
                split,
                path: self.name.clone(),
            },
        })
    }
}

/// Steps of so many passes over `per_epoch` steps, of which part of one counts as one.
fn passes(epochs: f64, per_epoch: usize) -> usize {
    ((epochs * per_epoch as f64).ceil() as usize).max(1)
}
