//! TensorBoard's event files: figures by step, as TensorBoard shows them.
//!
//! A file is records (`record.rs`) of `Event` messages (`event.rs`,
//! <https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/util/event.proto>). The first says which version
//! of the format it is; one that a run goes on with says from which step on what other files have of it is void.

mod crc32c;
mod event;
mod message;
mod record;
mod tags;

use crate::error::{Error, Result};
use event::Event;
use metal_candle::files;
use metal_candle::train;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Beginning of the names by which TensorBoard finds its files.
const PREFIX: &str = "events.out.tfevents.";

/// Event file of a run, in a folder `tensorboard` of the run's own.
#[derive(Debug)]
pub struct Writer {
    folder: PathBuf,
    /// Steps of earlier parts of the run.
    done: usize,
    /// The file, once there is something to write.
    open: Option<(PathBuf, File)>,
    /// Files of another run, which go when this one saves.
    superseded: Vec<PathBuf>,
}

impl Writer {
    /// Writer for the run in the folder `run`, named `name` in TensorBoard if it has a name, that goes on after `done`
    /// steps if `is_resumed`, and else replaces what another run left. Nothing is written yet.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn new(run: &Path, name: Option<&str>, (is_resumed, done): (bool, usize)) -> Result<Self> {
        let folder = run.join("tensorboard").join(name.unwrap_or_default());
        let superseded = if is_resumed { vec![] } else { found(&folder)? };
        Ok(Self {
            folder,
            done: if is_resumed { done } else { 0 },
            open: None,
            superseded,
        })
    }

    /// Writes the figures of an event.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&mut self, event: &train::Event) -> Result<()> {
        match event {
            train::Event::Report(report) => self.figures(report.step, &tags::of_report(report)),
            train::Event::Validation(validation) => {
                self.figures(validation.step, &tags::of_validation(validation))
            }
            train::Event::Saved { .. } => self.supersede(),
            train::Event::Step { .. } => Ok(()),
        }
    }

    fn figures(&mut self, step: usize, figures: &[(String, f64)]) -> Result<()> {
        self.event(&Event::figures(now(), step, figures))
    }

    fn supersede(&mut self) -> Result<()> {
        let old = std::mem::take(&mut self.superseded);
        old.iter().try_for_each(|path| Ok(files::remove(path)?))
    }

    fn event(&mut self, event: &Event) -> Result<()> {
        if self.open.is_none() {
            self.create()?;
        }
        let Some((path, file)) = &mut self.open else {
            return Ok(());
        };
        let written = file.write_all(&record::framed(&event.encoded()));
        Ok(written
            .and_then(|()| file.flush())
            .map_err(files::Error::at("write", path))?)
    }

    fn create(&mut self) -> Result<()> {
        files::make_folder(&self.folder)?;
        let path = (0..)
            .map(|i| self.folder.join(file_name(i)))
            .find(|path| !path.exists());
        let path = path.ok_or_else(|| Error::failed("no name for an event file is free"))?;
        let file = File::create_new(&path).map_err(files::Error::at("create", &path))?;
        self.open = Some((path, file));
        self.event(&Event::version(now()))?;
        if self.done > 0 {
            self.event(&Event::start(now(), self.done + 1))?;
        }
        Ok(())
    }
}

/// Name of an event file: TensorBoard reads them in the order of their names.
fn file_name(i: usize) -> String {
    let (seconds, process) = (now() as u64, std::process::id());
    format!("{PREFIX}{seconds:010}.metal-candle.{process}.{i}")
}

/// Seconds since 1970.
fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

/// Event files in a folder that may not be there.
fn found(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(vec![]);
    }
    let mut found = vec![];
    for entry in folder
        .read_dir()
        .map_err(files::Error::at("read", folder))?
    {
        let entry = entry.map_err(files::Error::at("read", folder))?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            found.push(entry.path());
        }
    }
    Ok(found)
}
