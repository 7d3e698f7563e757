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
    /// Goes on after what a run wrote before; starts the file where there is none.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append(path: &Path) -> Result<Self> {
        Self::open(path, OpenOptions::new().create(true).append(true))
    }

    /// Starts the file anew.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(path: &Path) -> Result<Self> {
        Self::open(
            path,
            OpenOptions::new().create(true).write(true).truncate(true),
        )
    }

    fn open(path: &Path, options: &OpenOptions) -> Result<Self> {
        let opened = options.open(path);
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
