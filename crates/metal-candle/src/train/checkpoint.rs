//! A checkpoint: one folder with all that a run goes on from, tied together by hashes.

use super::best::Stand;
use super::{Best, Error, Result};
use crate::files::{self, NewFolder};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Beginning of a checkpoint's name; the number of its step follows.
const PREFIX: &str = "checkpoint-";

/// File that ties the others together.
const RECORD: &str = "checkpoint.json";

/// The optimizer's state, beside what was trained.
pub(super) const OPTIMIZER: &str = "optimizer.safetensors";

/// Settings of the run that wrote the checkpoint.
pub(super) const SETTINGS: &str = "run.json";

/// Content of `checkpoint.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// Optimizer steps taken.
    step: usize,
    /// Validation loss after it, where it was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    val_loss: Option<f64>,
    /// Evaluations in a row without a lower validation loss.
    #[serde(default, skip_serializing_if = "is_zero")]
    evaluations_without_improvement: usize,
    /// SHA-256 of every other file, by its path in the folder.
    files: BTreeMap<String, String>,
}

/// Checkpoint in a folder of its own.
#[derive(Debug)]
pub(super) struct Checkpoint {
    pub(super) folder: PathBuf,
    record: Record,
}

impl Checkpoint {
    /// Place of the checkpoint after `step` in the folder of a run.
    pub(super) fn place(run: &Path, step: usize) -> PathBuf {
        run.join(format!("{PREFIX}{step}"))
    }

    /// Writes a checkpoint: `write` fills the folder. It appears under its name whole, or not at all.
    ///
    /// # Errors
    /// When the disk does not take it; a checkpoint that was there stays.
    pub(super) fn write(
        folder: &Path,
        stand: Stand,
        write: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Self> {
        let new = NewFolder::begin(folder)?;
        write(new.path())?;
        let record = Record {
            step: stand.step,
            val_loss: stand.val_loss,
            evaluations_without_improvement: stand.n_without,
            files: hashes(new.path())?,
        };
        files::write_json(&new.path().join(RECORD), &record)?;
        new.finish()?;
        Ok(Self {
            folder: folder.to_path_buf(),
            record,
        })
    }

    /// Record of the checkpoint in `folder`; its files are not looked at. `None` where there is none.
    ///
    /// # Errors
    /// When the record is damaged.
    pub(super) fn open(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(RECORD);
        if !path.is_file() {
            return Ok(None);
        }
        let record = serde_json::from_str(&files::read_text(&path)?)
            .map_err(|error| broken(folder, format!("{RECORD}: {error}")))?;
        Ok(Some(Self {
            folder: folder.to_path_buf(),
            record,
        }))
    }

    /// Optimizer steps taken.
    pub(super) fn step(&self) -> usize {
        self.record.step
    }

    /// Step and validation loss, where that was looked at.
    pub(super) fn validated(&self) -> Option<Best> {
        let (step, val_loss) = (self.record.step, self.record.val_loss?);
        Some(Best { step, val_loss })
    }

    /// Evaluations in a row without a lower validation loss.
    pub(super) fn n_without(&self) -> usize {
        self.record.evaluations_without_improvement
    }

    /// Paths of the files in the folder, without the record.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        self.record.files.keys().map(String::as_str)
    }

    /// Whether a file of this hash is part of the checkpoint.
    pub(super) fn holds(&self, hash: &str) -> bool {
        self.record.files.values().any(|other| other == hash)
    }

    /// Compares every file with the record.
    ///
    /// # Errors
    /// When one is missing, or another than was saved.
    pub(super) fn verify(&self) -> Result<()> {
        for (name, expected) in &self.record.files {
            let path = self.folder.join(name);
            if !path.is_file() {
                return Err(broken(&self.folder, format!("{name} is missing")));
            }
            let got = files::sha256(&path)?;
            if got != *expected {
                let reason = format!(
                    "{name} is not the file that was saved with the others: \
                     expected the SHA-256 {expected}, got {got}"
                );
                return Err(broken(&self.folder, reason));
            }
        }
        Ok(())
    }
}

/// Checkpoints in the folder of a run with their steps, the newest first.
///
/// # Errors
/// When the folder cannot be read.
pub(super) fn checkpoints(run: &Path) -> Result<Vec<(usize, PathBuf)>> {
    let mut found = vec![];
    for entry in run.read_dir().map_err(files::Error::at("read", run))? {
        let path = entry.map_err(files::Error::at("read", run))?.path();
        if let Some(step) = step_of(&path).filter(|_| path.is_dir()) {
            found.push((step, path));
        }
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

fn step_of(path: &Path) -> Option<usize> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix(PREFIX)?.parse().ok()
}

/// Hash of every file in `folder` and the folders in it, by its path there.
fn hashes(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut hashes = BTreeMap::new();
    for entry in folder
        .read_dir()
        .map_err(files::Error::at("read", folder))?
    {
        let path = entry.map_err(files::Error::at("read", folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match path.is_dir() {
            true => {
                let inside = self::hashes(&path)?.into_iter();
                hashes.extend(inside.map(|(file, hash)| (format!("{name}/{file}"), hash)));
            }
            false => {
                hashes.insert(name.into_owned(), files::sha256(&path)?);
            }
        }
    }
    Ok(hashes)
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

fn broken(folder: &Path, reason: String) -> Error {
    Error::Checkpoint {
        folder: folder.to_path_buf(),
        reason,
    }
}
