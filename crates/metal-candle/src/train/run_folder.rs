//! The folder that a run writes: its checkpoints, and beside them what the newest of them holds, as a
//! plain adapter or model that every tool reads.

use super::best::{Stand, Watch};
use super::checkpoint::{Checkpoint, OPTIMIZER, SETTINGS, checkpoints};
use super::{Best, Error, Result};
use crate::files::{self, FolderLock};
use serde_json::Value;
use std::cell::RefCell;
use std::path::{Path, PathBuf};

/// Reports and evaluations of a run, one JSON object a line.
pub(super) const METRICS: &str = "metrics.jsonl";

/// Start of a run in a folder in which something may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nothing of another run may be there.
    New,
    /// Another run's files are replaced at the first save, and stay until then.
    Overwrite,
    /// The run of the folder goes on after this many steps; what it saved later is replaced.
    Resume {
        /// Optimizer steps taken.
        step: usize,
    },
}

/// Folder that this run alone writes to, until it is dropped.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    start: Start,
    lock: Option<FolderLock>,
    /// Whether this run made the folder.
    is_new: bool,
    /// What the first save replaces.
    superseded: RefCell<Vec<PathBuf>>,
}

impl RunFolder {
    /// Claims `path`, which may not exist yet, for a run. Nothing is written.
    ///
    /// # Errors
    /// When another process runs into it.
    pub fn claim(path: &Path) -> Result<Self> {
        let mut folder = Self {
            path: path.to_path_buf(),
            start: Start::New,
            lock: None,
            is_new: !path.exists(),
            superseded: RefCell::default(),
        };
        if path.is_dir() {
            folder.lock()?;
        }
        Ok(folder)
    }

    /// Says how the run starts, which may depend on what lies in the claimed folder. Nothing is written.
    ///
    /// # Errors
    /// When the folder holds what the run must not replace.
    pub fn begin(mut self, start: Start) -> Result<Self> {
        self.start = start;
        if self.path.is_dir() {
            self.look()?;
        }
        Ok(self)
    }

    /// Makes the folder, and removes what a killed run left unfinished in it.
    ///
    /// # Errors
    /// When it cannot be written, or another process was faster.
    pub fn prepare(&mut self) -> Result<()> {
        files::make_folder(&self.path)?;
        if self.lock.is_none() {
            self.lock()?;
            self.look()?;
        }
        Ok(files::remove_unfinished(&self.path)?)
    }

    /// Where the folder is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the run's `metrics.jsonl` is written. It replaces that of another run when its adapter does.
    #[must_use]
    pub fn metrics(&self) -> PathBuf {
        let replaces = self.start == Start::Overwrite && !self.superseded.borrow().is_empty();
        let unfinished = if replaces { files::UNFINISHED } else { "" };
        self.path.join(format!("{unfinished}{METRICS}"))
    }

    /// Saves a checkpoint, which `write` fills, and makes it the folder's own adapter or model.
    ///
    /// # Errors
    /// When the disk does not take it; what was saved before stays.
    pub(super) fn save(
        &self,
        stand: Stand,
        settings: &Value,
        write: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        let place = Checkpoint::place(&self.path, stand.step);
        let checkpoint = Checkpoint::write(&place, stand, |folder| {
            write(folder)?;
            Ok(files::write_json(&folder.join(SETTINGS), settings)?)
        })?;
        self.publish(&checkpoint)
    }

    /// Makes the checkpoint of `step` the folder's own; `false` where this run saved none.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub(super) fn go_back_to(&self, step: usize) -> Result<bool> {
        let place = Checkpoint::place(&self.path, step);
        if self.superseded.borrow().contains(&place) {
            return Ok(false);
        }
        match Checkpoint::open(&place)? {
            Some(checkpoint) => self.publish(&checkpoint).map(|()| true),
            None => Ok(false),
        }
    }

    /// Validation losses of earlier parts of this run, which has taken `step` steps, as far as their checkpoints are there.
    ///
    /// # Errors
    /// When one of their records is damaged.
    pub(super) fn watch(&self, step: usize) -> Result<Watch> {
        let (mut best, mut n_without) = (None::<Best>, 0);
        for place in self.kept()? {
            let Some(checkpoint) = Checkpoint::open(&place)? else {
                continue;
            };
            if checkpoint.step() == step {
                n_without = checkpoint.n_without();
            }
            let is_lower = |found: &Best| best.is_none_or(|best| found.val_loss < best.val_loss);
            best = checkpoint.validated().filter(is_lower).or(best);
        }
        Ok(Watch::after(best, n_without))
    }

    /// Removes the oldest checkpoints until `limit` are left; those after the steps `kept` stay.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn remove_oldest(&self, limit: usize, kept: &[usize]) -> Result<()> {
        let mut places = self.kept()?;
        let places_kept: Vec<PathBuf> = kept
            .iter()
            .map(|step| Checkpoint::place(&self.path, *step))
            .collect();
        while places.len() > limit {
            let oldest = places
                .iter()
                .rposition(|place| !places_kept.contains(place));
            let Some(oldest) = oldest else {
                return Ok(());
            };
            files::remove_all(&places.remove(oldest))?;
        }
        Ok(())
    }

    /// Checkpoints of this run, the newest first.
    fn kept(&self) -> Result<Vec<PathBuf>> {
        if !self.path.is_dir() {
            return Ok(vec![]);
        }
        let superseded = self.superseded.borrow();
        let places = checkpoints(&self.path)?.into_iter().map(|(_, place)| place);
        Ok(places.filter(|place| !superseded.contains(place)).collect())
    }

    /// Copies the files of a checkpoint into the folder, weights last: a reader finds a whole adapter at
    /// every moment.
    fn publish(&self, checkpoint: &Checkpoint) -> Result<()> {
        self.supersede(&checkpoint.folder)?;
        let (weights, others): (Vec<&str>, Vec<&str>) = checkpoint
            .files()
            .filter(|name| *name != OPTIMIZER)
            .partition(|name| name.ends_with(".safetensors"));
        for name in others.into_iter().chain(weights) {
            let to = self.path.join(name);
            files::make_folder(to.parent().unwrap_or(&self.path))?;
            files::publish(&checkpoint.folder.join(name), &to)?;
        }
        Ok(())
    }

    /// Removes what was there before the run, but for the checkpoint that has just taken an old name.
    fn supersede(&self, new: &Path) -> Result<()> {
        let written = self.metrics();
        for old in self.superseded.take() {
            if old != new {
                files::remove_all(&old)?;
            }
        }
        let metrics = self.path.join(METRICS);
        if written != metrics && written.exists() {
            std::fs::rename(&written, &metrics).map_err(files::Error::at("write", &metrics))?;
        }
        Ok(())
    }

    fn lock(&mut self) -> Result<()> {
        self.lock = FolderLock::claim(&self.path)?;
        match self.lock {
            Some(_) => Ok(()),
            None => Err(Error::Busy {
                folder: self.path.clone(),
            }),
        }
    }

    /// Finds what the first save replaces.
    fn look(&mut self) -> Result<()> {
        let saved = saved(&self.path)?;
        if self.start == Start::New && !saved.is_empty() {
            return Err(Error::Occupied {
                folder: self.path.clone(),
            });
        }
        self.superseded.replace(match self.start {
            Start::Resume { step } => later(&self.path, step)?,
            Start::New | Start::Overwrite => saved,
        });
        Ok(())
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if self.is_new {
            // Made in vain, if nothing was saved in it; with files in it the system refuses.
            let _ = std::fs::remove_dir(&self.path);
        }
    }
}

/// Checkpoints that the run of a folder saved after `step`.
fn later(run: &Path, step: usize) -> Result<Vec<PathBuf>> {
    let found = checkpoints(run)?.into_iter();
    Ok(found
        .filter(|(other, _)| *other > step)
        .map(|(_, path)| path)
        .collect())
}

/// What runs, of this program and others, have saved in a folder.
fn saved(run: &Path) -> Result<Vec<PathBuf>> {
    let mut saved: Vec<PathBuf> = checkpoints(run)?
        .into_iter()
        .map(|(_, path)| path)
        .collect();
    for entry in run.read_dir().map_err(files::Error::at("read", run))? {
        let path = entry.map_err(files::Error::at("read", run))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if is_saved(&name) && path.is_file() {
            saved.push(path);
        }
    }
    Ok(saved)
}

/// Whether a file is part of an adapter, a model or a run.
fn is_saved(name: &str) -> bool {
    const WHOLE: [&str; 6] = [
        "config.json",
        "model.safetensors.index.json",
        OPTIMIZER,
        SETTINGS,
        "report.json",
        "report.html",
    ];
    let is_weights = name.ends_with(".safetensors") || name.ends_with(".bin");
    let is_named = ["adapter", "model"]
        .iter()
        .any(|start| name.starts_with(start));
    WHOLE.contains(&name) || name == "adapter_config.json" || (is_weights && is_named)
}
