//! Models, tokenizers and adapters as the options name them.

use crate::error::{Error, Result};
use crate::hub;
use crate::load_options::LoadOptions;
use crate::terminal::Terminal;
use candle_core::Device;
use metal_candle::LanguageModel;
use metal_candle::files;
use metal_candle::language_model::{Adapted, own_tokenizer};
use metal_candle::lora::AdapterSet;
use metal_candle::models::{self, Model};
use std::path::Path;
use std::sync::Arc;

/// Reads the model that `--model` names, a folder or a Hugging Face id.
///
/// # Errors
/// When it cannot be found or read.
pub fn load(
    name: &str,
    weights: LoadOptions,
    device: &Device,
    terminal: &Terminal,
) -> Result<LanguageModel> {
    load_for((name, None), weights, device, terminal)
}

/// [`load`] with the tokenizer of the adapter that is used, if it has its own.
///
/// # Errors
/// As [`load`].
pub fn load_for(
    (name, adapter): (&str, Option<&Path>),
    weights: LoadOptions,
    device: &Device,
    terminal: &Terminal,
) -> Result<LanguageModel> {
    let folder = hub::folder(name, terminal)?;
    tell_tokenizer(adapter, terminal);
    let mut loaded = LanguageModel::load_packing(folder, adapter, weights.on_load(), device)?;
    let decoder = &mut loaded.model.decoder;
    decoder.set_activations(weights.activations.dtype());
    Ok(loaded)
}

/// Says that an adapter's own tokenizer is used.
pub fn tell_tokenizer(adapter: Option<&Path>, terminal: &Terminal) {
    if let Some(folder) = adapter.and_then(own_tokenizer) {
        terminal.say(format_args!(
            "Using the tokenizer and chat template in {}",
            folder.display()
        ));
    }
}

/// Copies what an adapter has of a tokenizer over that of a model in `to`, and removes what would
/// hide it there: a template in a file wins over one in the configuration, and a map of special
/// tokens over the configuration's.
///
/// # Errors
/// When a file cannot be read or written.
pub fn copy_tokenizer(adapter: &Path, to: &Path) -> Result<()> {
    let Some(from) = own_tokenizer(adapter) else {
        return Ok(());
    };
    if matches!((from.canonicalize(), to.canonicalize()), (Ok(from), Ok(to)) if from == to) {
        return Ok(());
    }
    let config = from.join("tokenizer_config.json");
    if config.is_file() {
        files::remove(&to.join("special_tokens_map.json"))?;
        files::remove(&to.join("added_tokens.json"))?;
        if files::read_text(&config)?.contains("\"chat_template\"") {
            files::remove(&to.join("chat_template.jinja"))?;
        }
    }
    files::make_folder(to)?;
    Ok(models::copy_tokenizer(from, to)?)
}

/// Reads the adapter that lies at `path`, a folder of PEFT or mlx-lm or the tensor file in one, for the
/// model in `folder`, to compute with.
///
/// # Errors
/// When it cannot be read, or belongs to another model.
pub fn adapter(model: &Model, folder: &Path, path: &Path) -> Result<Arc<AdapterSet>> {
    Ok(read_adapter(model, folder, path)?.frozen(model)?)
}

/// Reads an adapter as [`adapter`] does, to be looked at.
///
/// # Errors
/// As [`adapter`].
pub fn read_adapter(model: &Model, folder: &Path, path: &Path) -> Result<Adapted> {
    check_adapter(path)?;
    Ok(Adapted::read(path, model, folder, |_| {})?)
}

/// Checks that something lies where an adapter is named.
///
/// # Errors
/// When nothing does.
pub fn check_adapter(path: &Path) -> Result<()> {
    match path.exists() {
        true => Ok(()),
        false => Err(Error::input(format!("no adapter at {}", path.display()))
            .with_advice("name a folder with adapter_config.json and the tensors beside it")),
    }
}
