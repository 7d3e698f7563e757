//! A record: what was measured, on what, and what that machine can do at most.

use crate::ceilings::{Ceiling, Limit};
use crate::clock::Spread;
use crate::machine::Machine;
use metal_candle::files;
use metal_candle_cli::error::{Error, Result};
use metal_candle_kernels::case::Cost;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// [`Row::source`] of a model in a file.
pub const FILE: &str = "file";

/// Pass of an operation, or part of a model's work, that was timed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Pass {
    /// The result, with nothing kept for gradients.
    #[serde(rename = "forward")]
    Forward,
    /// The gradients.
    #[serde(rename = "backward")]
    Backward,
    /// The result and its gradients.
    #[serde(rename = "forward+backward")]
    Both,
    /// One optimizer step of training.
    #[serde(rename = "step")]
    Step,
    /// A prompt, up to the first token.
    #[serde(rename = "prefill")]
    Prefill,
    /// One more token.
    #[serde(rename = "decode")]
    Decode,
}

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Forward => "forward",
            Self::Backward => "backward",
            Self::Both => "forward+backward",
            Self::Step => "step",
            Self::Prefill => "prefill",
            Self::Decode => "decode",
        })
    }
}

/// The subject of a time: two rows of the same subject can be compared, whoever computed them.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Subject {
    /// An operation, `train` or `generate`.
    pub op: String,
    /// Sizes.
    pub case: String,
    /// Dtype of the inputs or of the frozen weights.
    pub dtype: String,
    /// What of it.
    pub pass: Pass,
}

/// Speed of one implementation.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Figures {
    /// Seconds.
    pub spread: Spread,
    /// Which of an implementation's ways was the best, where it has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<String>,
    /// The most memory held at once: of an operation beyond its inputs, of a model in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_bytes: Option<u64>,
}

/// One subject, by everybody who computed it in the same sitting.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Row {
    /// What was timed.
    #[serde(flatten)]
    pub subject: Subject,
    /// Where the sizes come from: a model, the published table, or a file.
    pub source: String,
    /// Floating-point operations that cannot be avoided; 0 where they are not counted.
    pub flops: u64,
    /// Bytes that have to move; 0 where they are not counted.
    pub bytes: u64,
    /// How many runs in a row each time is the mean of, with one wait for the device.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub runs_per_wait: usize,
    /// Tokens of a run, of a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<usize>,
    /// This program.
    pub ours: Figures,
    /// Others, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rivals: BTreeMap<String, Figures>,
    /// What all threads could do in the row's sitting, where that is not the record's last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<Ceiling>,
}

fn one() -> usize {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_one(n: &usize) -> bool {
    *n == 1
}

impl Row {
    /// This row, with this many runs for each wait.
    pub fn of_runs(self, runs_per_wait: usize) -> Self {
        Self {
            runs_per_wait,
            ..self
        }
    }

    /// The work that cannot be avoided.
    pub fn cost(&self) -> Cost {
        Cost {
            flops: self.flops,
            bytes: self.bytes,
        }
    }

    /// Limit of the machine; `None` where the work is not counted.
    pub fn limit(&self, ceiling: &Ceiling) -> Option<Limit> {
        let is_counted = self.flops + self.bytes > 0;
        is_counted.then(|| match self.subject.pass {
            Pass::Decode => ceiling.reading_limit(self.cost()),
            _ => ceiling.limit(self.cost()),
        })
    }

    /// Share of the machine's limit; `None` where the work is not counted.
    pub fn share(&self, ceiling: &Ceiling) -> Option<f64> {
        let limit = self.limit(ceiling)?;
        Some(limit.secs / self.ours.spread.median_secs)
    }

    /// A rival's time over ours.
    pub fn ratio(&self, rival: &str) -> Option<f64> {
        let theirs = self.rivals.get(rival)?;
        Some(theirs.spread.median_secs / self.ours.spread.median_secs)
    }
}

/// Everything that was measured in a sitting.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Record {
    /// Where and with what.
    pub machine: Machine,
    /// Versions of rivals.
    #[serde(default)]
    pub versions: BTreeMap<String, String>,
    /// What the machine can do, with one thread and with all.
    pub ceilings: Vec<Ceiling>,
    /// What was measured.
    pub rows: Vec<Row>,
}

impl Record {
    /// A record without rows.
    pub fn new(machine: Machine, ceilings: Vec<Ceiling>) -> Self {
        Self {
            machine,
            versions: BTreeMap::new(),
            ceilings,
            rows: vec![],
        }
    }

    /// What all threads could do together in the last sitting.
    ///
    /// # Errors
    /// When the record does not say.
    pub fn ceiling(&self) -> Result<&Ceiling> {
        let missing = || Error::input("the record has no ceilings");
        self.ceilings.last().ok_or_else(missing)
    }

    /// The ceiling in the sitting of `row`.
    ///
    /// # Errors
    /// As above.
    pub fn ceiling_of<'a>(&'a self, row: &'a Row) -> Result<&'a Ceiling> {
        row.ceiling.as_ref().map_or_else(|| self.ceiling(), Ok)
    }

    /// `folder/<machine>/<date>-<commit>.json`, of a GPU `<date>-<commit>-<gpu>.json`.
    pub fn path_in(&self, folder: &Path) -> PathBuf {
        let machine = &self.machine;
        let commit = machine.commit.as_deref().unwrap_or("unknown");
        let gpu = machine
            .gpu_name()
            .map_or_else(String::new, |name| format!("-{name}"));
        let name = format!("{}-{commit}{gpu}.json", machine.date);
        folder.join(machine.folder_name()).join(name)
    }

    /// Reads a record.
    ///
    /// # Errors
    /// When it is not there, or not a record.
    pub fn read(path: &Path) -> Result<Self> {
        let text = files::read_text(path)?;
        let wrong = |source| Error::input(format!("{}: not a record: {source}", path.display()));
        serde_json::from_str(&text).map_err(wrong)
    }

    /// Adds this record to that of the same machine, day and commit in `folder`; rows of the same
    /// subject are replaced. Gives the file's path.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn add_to(self, folder: &Path) -> Result<PathBuf> {
        let path = self.path_in(folder);
        let merged = match path.exists() {
            true => Self::read(&path)?.with(self),
            false => self,
        };
        if let Some(parent) = path.parent() {
            files::make_folder(parent)?;
        }
        files::write_json(&path, &merged)?;
        Ok(path)
    }

    fn with(mut self, newer: Self) -> Self {
        let mut rows = newer.rows;
        let is_new = |row: &Row| !rows.iter().any(|newer| newer.subject == row.subject);
        self.rows.retain(is_new);
        for row in &mut self.rows {
            row.ceiling = row.ceiling.take().or_else(|| self.ceilings.last().cloned());
        }
        self.rows.append(&mut rows);
        self.versions.extend(newer.versions);
        Self {
            machine: newer.machine,
            ceilings: newer.ceilings,
            ..self
        }
    }
}

#[cfg(test)]
pub mod testing {
    //! Records that nobody measured.

    use super::*;
    use candle_core::Device;

    /// A row of the published table; a rival's time is `ratio` of ours.
    pub fn row(op: &str, case: &str, pass: Pass, ratio: Option<f64>) -> Row {
        let figures = |secs| Figures {
            spread: Spread::of(vec![secs]).unwrap(),
            how: None,
            peak_bytes: Some(3 << 20),
        };
        let rivals = ratio.map(|ratio| ("pytorch".to_owned(), figures(2e-3 * ratio)));
        Row {
            subject: Subject {
                op: op.into(),
                case: case.into(),
                dtype: "f32".into(),
                pass,
            },
            source: "table".into(),
            flops: 100_000_000,
            bytes: 1000,
            runs_per_wait: 1,
            tokens: None,
            ours: figures(2e-3),
            rivals: rivals.into_iter().collect(),
            ceiling: None,
        }
    }

    /// A record of `rows`, of a machine of 100 GFLOP/s and 10 GB/s.
    pub fn record(rows: Vec<Row>) -> Record {
        let ceiling = Ceiling {
            threads: Some(2),
            read_bytes_per_sec: Some(10e9),
            copy_bytes_per_sec: 8e9,
            memory_bytes: None,
            caches: vec![],
            flops_per_sec: 100e9,
            wait_secs: None,
        };
        let machine = Machine::here(&Device::Cpu);
        let mut record = Record::new(machine, vec![ceiling]);
        record.rows = rows;
        record
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{record, row};
    use super::*;

    #[test]
    fn a_record_survives_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let written = record(vec![row("softmax", "2048x2048", Pass::Both, Some(1.5))]);
        let path = written.clone().add_to(folder.path()).unwrap();
        assert_eq!(Record::read(&path).unwrap(), written);
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(name.starts_with(&written.machine.date), "{name}");
        assert!(
            path.parent()
                .unwrap()
                .ends_with(written.machine.folder_name())
        );
    }

    #[test]
    fn a_second_sitting_replaces_its_own_rows_only() {
        let folder = tempfile::tempdir().unwrap();
        let first = [("softmax", 1.5), ("matmul", 1.1)];
        let rows = first.map(|(op, ratio)| row(op, "8x8", Pass::Forward, Some(ratio)));
        record(rows.to_vec()).add_to(folder.path()).unwrap();
        let again = record(vec![row("softmax", "8x8", Pass::Forward, Some(2.0))]);
        let path = again.add_to(folder.path()).unwrap();
        let rows = Record::read(&path).unwrap().rows;
        let found: Vec<_> = rows
            .iter()
            .map(|row| (row.subject.op.as_str(), row.ratio("pytorch").unwrap()))
            .collect();
        assert_eq!(found, [("matmul", 1.1), ("softmax", 2.0)]);
    }

    #[test]
    fn a_row_keeps_the_limits_of_its_sitting() {
        let first = record(vec![row("softmax", "8x8", Pass::Forward, None)]);
        let mut second = record(vec![row("matmul", "8x8", Pass::Forward, None)]);
        second.ceilings[0].flops_per_sec = 200e9;
        let merged = first.with(second.clone()).with(second);
        let limit = |row: &Row| merged.ceiling_of(row).unwrap().flops_per_sec;
        let limits: Vec<_> = merged.rows.iter().map(limit).collect();
        assert_eq!(limits, [100e9, 200e9]);
    }

    #[test]
    fn figures_of_a_gpu_have_a_file_of_their_own() {
        let folder = Path::new("records");
        let mut record = record(vec![]);
        let of_cpu = record.path_in(folder);
        record.machine.gpu = Some("applegpu_g15s".into());
        let of_gpu = record.path_in(folder);
        assert_eq!(of_cpu.parent(), of_gpu.parent());
        let name = of_gpu.file_name().unwrap().to_str().unwrap();
        assert!(name.ends_with("-applegpu-g15s.json"), "{name}");
        assert_ne!(of_cpu, of_gpu);
    }

    #[test]
    fn a_share_is_of_the_limit_that_binds() {
        let record = record(vec![row("softmax", "8x8", Pass::Forward, None)]);
        let share = record.rows[0].share(record.ceiling().unwrap()).unwrap();
        // A hundred million operations in 2 ms are 50 of 100 GFLOP/s.
        assert!((share - 0.5).abs() < 1e-9, "{share}");
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        std::fs::write(&path, "{\"rows\": []}").unwrap();
        let error = Record::read(&path).unwrap_err();
        assert!(
            error.message().contains("not a record"),
            "{}",
            error.message()
        );
    }
}
