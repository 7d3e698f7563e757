//! Settings in Hugging Face's environment variables.

use crate::error::{Error, Result};
use metal_candle::files;
use std::env::{self, var_os};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Longer than servers and networks pause.
const PATIENCE: Duration = Duration::from_secs(20);

/// Folder where models are kept, and how to get at others.
pub struct Environment {
    /// The folder of all models: `HF_HUB_CACHE`, or `hub` in `HF_HOME`.
    pub cache: PathBuf,
    /// Where downloads come from (`HF_ENDPOINT`).
    pub endpoint: String,
    /// What private and gated models ask for: `HF_TOKEN`, or the file that `hf auth login` leaves.
    pub token: Option<String>,
    /// How long a server may send nothing (`HF_HUB_DOWNLOAD_TIMEOUT`, in seconds).
    pub patience: Duration,
    /// No network is to be used (`HF_HUB_OFFLINE`).
    pub is_offline: bool,
}

impl Environment {
    /// Reads the variables.
    ///
    /// # Errors
    /// When neither they nor the user's home say where the cache is.
    pub fn read() -> Result<Self> {
        let home = home()?;
        Ok(Self {
            cache: set("HF_HUB_CACHE").map_or(home.join("hub"), PathBuf::from),
            endpoint: text("HF_ENDPOINT").map_or("https://huggingface.co".into(), |url| {
                url.trim_end_matches('/').into()
            }),
            token: text("HF_TOKEN").or_else(|| {
                let saved = files::read_text(&home.join("token")).ok()?;
                Some(saved.trim().to_string()).filter(|token| !token.is_empty())
            }),
            patience: text("HF_HUB_DOWNLOAD_TIMEOUT")
                .and_then(|seconds| Duration::try_from_secs_f64(seconds.parse().ok()?).ok())
                .filter(|patience| !patience.is_zero())
                .unwrap_or(PATIENCE),
            is_offline: text("HF_HUB_OFFLINE").is_some_and(|value| is_yes(&value)),
        })
    }
}

/// Hugging Face's folder: `HF_HOME`, or `huggingface` in the user's cache.
fn home() -> Result<PathBuf> {
    if let Some(home) = set("HF_HOME") {
        return Ok(home.into());
    }
    if let Some(cache) = set("XDG_CACHE_HOME") {
        return Ok(PathBuf::from(cache).join("huggingface"));
    }
    match env::home_dir() {
        Some(user) => Ok(user.join(".cache").join("huggingface")),
        None => Err(
            Error::input("no home folder, so no cache for downloaded models")
                .with_advice("set HF_HOME to a folder, or name a folder with --model"),
        ),
    }
}

fn set(name: &str) -> Option<OsString> {
    var_os(name).filter(|value| !value.is_empty())
}

fn text(name: &str) -> Option<String> {
    set(name)?.into_string().ok()
}

/// Truth of a value as `huggingface_hub` reads it.
fn is_yes(value: &str) -> bool {
    ["1", "on", "yes", "true"].contains(&value.to_lowercase().as_str())
}
