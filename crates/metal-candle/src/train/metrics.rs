use super::{Event, Result};
use crate::files;
use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// `metrics.jsonl`: one object a line, flushed, for reports and evaluations.
#[derive(Debug)]
pub struct MetricsFile {
    path: PathBuf,
    file: File,
}

impl MetricsFile {
    /// Starts the file anew.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(path: &Path) -> Result<Self> {
        let mut options = OpenOptions::new();
        let opened = options.create(true).write(true).truncate(true).open(path);
        Ok(Self {
            path: path.to_path_buf(),
            file: opened.map_err(files::Error::at("create", path))?,
        })
    }

    /// Writes the line of `event`, if it is one that has a line.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::Report(report) => self.line(report),
            Event::Validation(validation) => self.line(validation),
            Event::Step { .. } | Event::Saved { .. } => Ok(()),
        }
    }

    fn line(&mut self, value: &impl Serialize) -> Result<()> {
        let written = serde_json::to_string(value)
            .map_err(std::io::Error::other)
            .and_then(|line| self.file.write_all(format!("{line}\n").as_bytes()))
            .and_then(|()| self.file.flush());
        Ok(written.map_err(files::Error::at("write", &self.path))?)
    }
}
