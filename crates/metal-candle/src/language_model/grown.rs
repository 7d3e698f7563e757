//! A model beside an adapter of it, which may have been trained with more tokens than the model has.

use super::Result;
use crate::lora::format::{self, Vocabulary};
use crate::models::{Config, Model, OnLoad};
use candle_core::Device;
use std::path::Path;

/// Reads the configuration of the model in `folder`, with the number of tokens that it has beside `adapter`.
///
/// # Errors
/// When a file is missing or damaged, or asks for what is not built.
pub fn config_for(folder: &Path, adapter: Option<&Path>) -> Result<Config> {
    let (mut config, _) = Config::read(folder)?;
    if let Some(vocabulary) = vocabulary(config.vocab_size, adapter)? {
        config.vocab_size = vocabulary.n_tokens;
    }
    Ok(config)
}

/// Reads the model in `folder`, and gives it rows for the tokens that `adapter` was trained with and it lacks.
///
/// # Errors
/// Those of [`Model::load_packing`], when the adapter cannot be read, or the rows do not fit.
pub fn model_for(
    folder: &Path,
    adapter: Option<&Path>,
    on_load: Option<OnLoad>,
    device: &Device,
) -> Result<Model> {
    let mut model = Model::load_packing(folder, on_load, device)?;
    if let Some(vocabulary) = vocabulary(model.config.vocab_size, adapter)? {
        model.grow_vocabulary(vocabulary.n_tokens, &vocabulary.new_rows)?;
    }
    Ok(model)
}

/// Vocabulary that `adapter` calls for, where it is larger than one of `n_tokens`. One that is not there is told where
/// the adapter itself is read.
fn vocabulary(n_tokens: usize, adapter: Option<&Path>) -> Result<Option<Vocabulary>> {
    match adapter.filter(|path| path.exists()) {
        Some(path) => Ok(format::read(path)?.grown(n_tokens)?),
        None => Ok(None),
    }
}
