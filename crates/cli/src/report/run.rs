//! A run as its folder has it.

use super::metrics::Metrics;
use super::{TOLD, Told, damaged};
use crate::error::{Error, Result};
use metal_candle::files;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

const SETTINGS: &str = "run.json";
const METRICS: &str = "metrics.jsonl";

/// Files of a run, read.
#[derive(Debug, Default)]
pub struct Run {
    /// The folder.
    pub folder: PathBuf,
    /// Settings, as `run.json` has them; none before the first save.
    pub settings: Map<String, Value>,
    /// Figures by step.
    pub metrics: Metrics,
    /// What the run told; nothing where it was killed, or goes on.
    pub told: Told,
}

impl Run {
    /// Reads what a run has left in `folder`.
    ///
    /// # Errors
    /// When that is nothing, or a file is damaged.
    pub fn read(folder: &Path) -> Result<Self> {
        let metrics = folder.join(METRICS);
        let settings = json(&folder.join(SETTINGS))?;
        if settings.is_none() && !metrics.is_file() {
            return Err(nothing(folder));
        }
        let text = match metrics.is_file() {
            true => files::read_text(&metrics)?,
            false => String::new(),
        };
        Ok(Self {
            folder: folder.to_path_buf(),
            settings: settings.unwrap_or_default(),
            metrics: Metrics::parse(&text).map_err(|reason| damaged(&metrics, reason))?,
            told: json(&folder.join(TOLD))?.unwrap_or_default(),
        })
    }

    /// A setting as text; `None` where it is absent or null.
    pub fn setting(&self, name: &str) -> Option<String> {
        match self.settings.get(name)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }
}

/// Content of a file; `None` where there is none.
fn json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if !files::is_there(path) {
        return Ok(None);
    }
    let text = files::read_text(path)?;
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|error| damaged(path, error))
}

fn nothing(folder: &Path) -> Error {
    let shown = folder.display();
    Error::input(format!(
        "{shown}: neither {SETTINGS} nor {METRICS} is there"
    ))
    .with_advice("name the folder of a run, --adapter-path of metal-candle train")
}
