//! Measurements of one machine, kept in a file.

use std::fs;
use std::io::Write;
use std::path::Path;

use candle_core::DType;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::cell::{Bucket, Cell, RowsCell};
use crate::order::{Key, LitmusRounds};
use crate::plan::Engine;

/// Most bytes of a file: it is read whenever a device is first used.
pub const MAX_FILE_BYTES: usize = 32_768;

/// Measurements of one machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// What it holds for.
    pub key: Key,
    /// The litmus test of the strategy.
    pub litmus: LitmusRounds,
    /// Microseconds that the strategy adds to one product.
    pub overhead_micros: f64,
    /// One measurement for each engine, bucket and weight of a model.
    pub cells: Vec<Cell>,
    /// Measurements of softmax; none in files from before there were any.
    #[serde(default)]
    pub softmax: Vec<RowsCell>,
}

/// Reason why a file of measurements is not used, or was not written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CalibrationError {
    /// Not read or not written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Over [`MAX_FILE_BYTES`].
    #[error("{bytes} B of measurements are over {MAX_FILE_BYTES} B")]
    TooLarge {
        /// Bytes of the file.
        bytes: u64,
    },
    /// Not what is written here.
    #[error("not a file of measurements: {0}")]
    Parse(#[from] serde_json::Error),
    /// Measurements of another machine, system or version.
    #[error("measured for {found:?}, this is {expected:?}")]
    OtherKey {
        /// What this is.
        expected: Box<Key>,
        /// What the file holds for.
        found: Box<Key>,
    },
}

impl Calibration {
    /// The measurements in the file at `path`, if they hold for `key`.
    ///
    /// # Errors
    ///
    /// Every [`CalibrationError`] means that nothing has been measured.
    pub fn load(path: &Path, key: &Key) -> Result<Self, CalibrationError> {
        let bytes = fs::metadata(path)?.len();
        if bytes > MAX_FILE_BYTES as u64 {
            return Err(CalibrationError::TooLarge { bytes });
        }
        let found: Self = serde_json::from_slice(&fs::read(path)?)?;
        if found.key == *key {
            return Ok(found);
        }
        Err(CalibrationError::OtherKey {
            expected: Box::new(key.clone()),
            found: Box::new(found.key),
        })
    }

    /// Writes the file at `path` whole or not at all; its folder exists.
    ///
    /// # Errors
    ///
    /// [`CalibrationError::TooLarge`] and [`CalibrationError::Io`]; what was there before is still
    /// there then.
    pub fn save(&self, path: &Path) -> Result<(), CalibrationError> {
        let text = serde_json::to_vec(self)?;
        if text.len() > MAX_FILE_BYTES {
            let bytes = text.len() as u64;
            return Err(CalibrationError::TooLarge { bytes });
        }
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
        file.write_all(&text)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    /// The measurement of `engine` for products of `bucket`: that of a weight of just these sizes, M, N and K, if
    /// there is one, or else the first.
    pub fn cell(&self, engine: Engine, bucket: &Bucket, sizes: [usize; 3]) -> Option<&Cell> {
        let alike = |cell: &&Cell| cell.engine == engine && cell.bucket == *bucket;
        let mut cells = self.cells.iter().filter(alike);
        let exact = cells.clone().find(|cell| cell.has_weight_of(sizes));
        exact.or_else(|| cells.next())
    }

    /// The measurement of softmax for rows of numbers of `dtype` in these binary logarithms, exactly.
    pub fn softmax_cell(&self, dtype: DType, log2: [u32; 2]) -> Option<&RowsCell> {
        let mut cells = self.softmax.iter();
        cells.find(|cell| cell.dtype == dtype && cell.log2 == log2)
    }
}
