//! A folder of `train.jsonl`, `valid.jsonl` and `test.jsonl`, as mlx-lm lays data out.

use std::fmt;
use std::path::{Path, PathBuf};

use super::dataset::{Dataset, Options};
use super::error::{Error, Result};
use super::tokenizer::Tokenizer;
use crate::files;

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

/// The splits of a folder, as far as their files exist and were asked for.
#[derive(Debug, Clone)]
pub struct Splits {
    folder: PathBuf,
    /// Rows to train on.
    pub train: Option<Dataset>,
    /// Rows to watch the loss on while training.
    pub valid: Option<Dataset>,
    /// Rows to report the loss on in the end.
    pub test: Option<Dataset>,
}

impl Splits {
    /// Reads those of the `wanted` splits whose file exists.
    ///
    /// # Errors
    /// Those of [`Dataset::load`].
    pub fn load(
        folder: &Path,
        wanted: &[Split],
        tokenizer: &Tokenizer,
        options: &Options,
    ) -> Result<Self> {
        let load = |split: Split| {
            let path = split.path(folder);
            let is_wanted = wanted.contains(&split) && files::is_there(&path);
            is_wanted
                .then(|| Dataset::load(&path, tokenizer, options))
                .transpose()
        };
        let splits = Self {
            folder: folder.to_owned(),
            train: load(Split::Train)?,
            valid: load(Split::Valid)?,
            test: load(Split::Test)?,
        };
        splits.tell_repeated();
        Ok(splits)
    }

    /// Warns of rows to watch the loss on that are all trained on.
    fn tell_repeated(&self) {
        for other in [&self.valid, &self.test].into_iter().flatten() {
            if let Some(train) = self.train.as_ref().filter(|train| train.holds(other)) {
                tracing::warn!(
                    "{}: every row is also in {}, so that its loss says nothing about other text",
                    other.path.display(),
                    train.path.display()
                );
            }
        }
    }

    /// A split that has to be there.
    ///
    /// # Errors
    /// [`Error::MissingSplit`] with the path where it was looked for.
    pub fn require(&self, split: Split) -> Result<&Dataset> {
        let dataset = match split {
            Split::Train => &self.train,
            Split::Valid => &self.valid,
            Split::Test => &self.test,
        };
        dataset.as_ref().ok_or_else(|| Error::MissingSplit {
            split,
            path: split.path(&self.folder),
        })
    }
}
