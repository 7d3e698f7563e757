//! Models in one GGUF file: its metadata as a configuration, its tensors under the names of Hugging Face.

mod adapter;
mod architecture;
mod change;
mod config;
mod describe;
mod file_type;
mod names;
mod neutral;
mod rope;
mod settings;
mod survives;
mod tensors;
mod write;

pub use file_type::FileType;
pub(super) use tensors::Tensors;

use super::Result;
use crate::gguf::GgufFile;
use architecture::Architecture;
use serde_json::{Map, Value};

/// What `config.json` would hold.
pub(super) fn config(file: &GgufFile) -> Result<Map<String, Value>> {
    config::object(file, Architecture::of(file)?)
}
