//! Adapters as mlx-lm reads and writes them: a folder with `adapter_config.json` and
//! `adapters.safetensors` (`ml-explore/mlx-lm`, `mlx_lm/tuner/{lora,dora,utils}.py`).
//!
//! The configuration holds all arguments of a run, of which the loader reads three: `fine_tune_type`,
//! `num_layers` and `lora_parameters`. `scale` is the factor of the update itself, whatever the rank is,
//! and one for all layers. An adapter on an embedding that is the output head too is one on both ends.

mod config;
mod keys;
mod stack;
mod uniform;
mod write;

use super::json::Fields;
use super::names::{self, Names, Paths};
use crate::lora::choice::Unmatched;
use crate::lora::{Error, LayerInfo, LoraConfig};
use config::Settings;
use serde_json::{Map, Value};
use std::path::Path;
pub use write::write;

pub(super) const TENSORS: &str = "adapters.safetensors";

/// Reads the fields `all` of the file at `path`, and the base model that it names.
///
/// # Errors
/// When it asks for something that is not built.
pub(super) fn settings(
    path: &Path,
    all: &Map<String, Value>,
) -> Result<(Settings, Option<String>), Error> {
    config::check(path, all)?;
    let fields = Fields { path, all };
    Ok((config::read(&fields)?, fields.optional("model")?))
}

impl names::Settings for Settings {
    fn config(&self, layers: &[LayerInfo]) -> Result<(LoraConfig, Vec<Unmatched>), Error> {
        self.for_layers(layers)
    }

    fn names<'a>(&'a self, paths: &'a Paths) -> Box<dyn Names + 'a> {
        Box::new(keys::Names { paths })
    }
}
