//! State that a run goes on from.

use super::checkpoint::{Checkpoint, OPTIMIZER, SETTINGS, checkpoints};
use super::run_folder::METRICS;
use super::{Error, Result};
use crate::files;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// File of an adapter's tensors.
const WEIGHTS: &str = "adapter_model.safetensors";

/// File of an adapter's settings.
const CONFIG: &str = "adapter_config.json";

/// Adapter to go on with, and the state that was saved as one with it.
#[derive(Debug)]
pub struct Resume {
    /// Folder or tensor file of the adapter.
    pub adapter: PathBuf,
    /// State of the optimizer; `None` for an adapter that was saved without one, or by another tool.
    pub optimizer: Option<PathBuf>,
    /// Optimizer steps taken; 0 where the optimizer starts anew.
    pub step: usize,
    /// Steps of the checkpoint that it is, whose files were compared with their hashes; `None` where it is none.
    pub checkpoint: Option<usize>,
    /// Settings of the run, as `run.json` holds them.
    pub settings: Option<Value>,
}

impl Resume {
    /// Finds the state that belongs to the adapter at `path`: a checkpoint, the folder of a run, the folder
    /// of an adapter of any tool, or a tensor file in one of these.
    ///
    /// The adapter in the folder of a run is that of one of its checkpoints; where a killed run left none
    /// there, the newest checkpoint is taken.
    ///
    /// # Errors
    /// When the parts of a checkpoint are not those that were saved together, the adapter in the folder
    /// of a run is of none of its checkpoints, or the run saved nothing.
    pub fn find(path: &Path) -> Result<Self> {
        let folder = match path.is_file() {
            true => path.parent().unwrap_or(Path::new(".")),
            false => path,
        };
        if !folder.is_dir() {
            return Ok(Self::plain(path));
        }
        if let Some(checkpoint) = Checkpoint::open(folder)? {
            return Self::of(&checkpoint);
        }
        let weights = match path.is_file() {
            true => path.to_path_buf(),
            false => folder.join(WEIGHTS),
        };
        let adapter = [weights, folder.join(CONFIG)];
        match checkpoint_of(folder, &adapter)? {
            Some(checkpoint) => Self::of(&checkpoint),
            None if saved_nothing(folder, &adapter) => Err(Error::Unsaved {
                folder: folder.to_path_buf(),
            }),
            None => Ok(Self::plain(path)),
        }
    }

    fn of(checkpoint: &Checkpoint) -> Result<Self> {
        checkpoint.verify()?;
        let optimizer = Some(checkpoint.folder.join(OPTIMIZER)).filter(|path| path.is_file());
        let settings = checkpoint.folder.join(SETTINGS);
        Ok(Self {
            adapter: checkpoint.folder.clone(),
            checkpoint: Some(checkpoint.step()),
            step: optimizer.as_ref().map_or(0, |_| checkpoint.step()),
            optimizer,
            settings: match settings.is_file() {
                true => serde_json::from_str(&files::read_text(&settings)?).ok(),
                false => None,
            },
        })
    }

    fn plain(path: &Path) -> Self {
        Self {
            adapter: path.to_path_buf(),
            checkpoint: None,
            optimizer: None,
            step: 0,
            settings: None,
        }
    }
}

/// Whether `folder` is that of a run that was killed before there was an `adapter`.
fn saved_nothing(folder: &Path, adapter: &[PathBuf]) -> bool {
    folder.join(METRICS).is_file() && !adapter.iter().any(|path| files::is_there(path))
}

/// Newest checkpoint of the run in `folder` that holds all of the `adapter`'s files, as far as these exist;
/// `None` where there are no checkpoints.
fn checkpoint_of(folder: &Path, adapter: &[PathBuf]) -> Result<Option<Checkpoint>> {
    let places = checkpoints(folder)?;
    let Some((_, newest)) = places.first() else {
        return Ok(None);
    };
    let there = adapter.iter().filter(|path| path.is_file());
    let hashes: Vec<String> = there
        .map(|path| files::sha256(path))
        .collect::<std::result::Result<_, _>>()?;
    for (_, place) in &places {
        let checkpoint = Checkpoint::open(place)?;
        if let Some(checkpoint) = checkpoint.filter(|c| hashes.iter().all(|hash| c.holds(hash))) {
            return Ok(Some(checkpoint));
        }
    }
    Err(Error::Stray {
        folder: folder.to_path_buf(),
        newest: newest.clone(),
    })
}
