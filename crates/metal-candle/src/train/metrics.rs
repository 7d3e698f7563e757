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
    /// Goes on after `step`: what a run wrote of later steps, and half a line of one that was killed, goes.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn go_on(path: &Path, step: usize) -> Result<Self> {
        if path.is_file() {
            let bytes = files::read_bytes(path)?;
            let kept = lines_until(&String::from_utf8_lossy(&bytes), step);
            files::write_whole(path, |file| file.write_all(kept.as_bytes()))?;
        }
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
        // Opening a pipe would wait for a reader.
        let opened = match path.exists() && !path.is_file() {
            true => Err(std::io::ErrorKind::InvalidInput.into()),
            false => options.open(path),
        };
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

/// Whole lines of steps up to `last`.
fn lines_until(text: &str, last: usize) -> String {
    let is_kept = |line: &&str| {
        let value = serde_json::from_str::<serde_json::Value>(line).ok();
        let step = value.and_then(|value| value["step"].as_u64());
        line.ends_with('\n') && step.is_some_and(|step| step <= last as u64)
    };
    text.split_inclusive('\n').filter(is_kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_on_where_its_checkpoint_stands() {
        let line = |step| format!("{{\"step\":{step},\"train_loss\":1.0}}\n");
        let text = line(1) + &line(2) + &line(3) + "{\"step\":1,\"train";
        assert_eq!(lines_until(&text, 2), line(1) + &line(2));
        assert_eq!(lines_until("no json\n", 2), "");
    }
}
