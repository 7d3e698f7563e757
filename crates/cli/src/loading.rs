//! Models, tokenizers and adapters as the options name them.

use crate::error::{Error, Result};
use crate::hub;
use crate::terminal::Terminal;
use candle_core::Device;
use metal_candle::LanguageModel;
use metal_candle::data::{Tokenizer, has_tokenizer_files};
use metal_candle::files;
use metal_candle::language_model::Adapted;
use metal_candle::lora::{AdapterSet, LoraConfig};
use metal_candle::models::{self, Config, Model, OnLoad, check_folder};
use std::path::Path;
use std::sync::Arc;

/// Reads the model that `--model` names, a folder or a Hugging Face id.
///
/// # Errors
/// When it cannot be found or read.
pub fn load(
    name: &str,
    on_load: Option<OnLoad>,
    device: &Device,
    terminal: &Terminal,
) -> Result<LanguageModel> {
    load_for((name, None), on_load, device, terminal)
}

/// [`load`] with the tokenizer of the adapter that is used, if it has its own.
///
/// # Errors
/// As [`load`].
pub fn load_for(
    (name, adapter): (&str, Option<&Path>),
    on_load: Option<OnLoad>,
    device: &Device,
    terminal: &Terminal,
) -> Result<LanguageModel> {
    let folder = hub::folder(name, terminal)?;
    // What is small first: what is wrong with it is known at once.
    check_folder(&folder)?;
    let (config, _) = Config::read(&folder)?;
    let tokenizer = tokenizer_for(&folder, adapter, &config, terminal)?;
    Ok(LanguageModel {
        model: Model::load_packing(&folder, on_load, device)?,
        tokenizer,
        folder,
    })
}

/// Reads the model's tokenizer, or what lies beside the adapter instead: trainers that add tokens
/// or a chat template save them there.
///
/// # Errors
/// When its files are not what they should be.
pub fn tokenizer_for(
    model: &Path,
    adapter: Option<&Path>,
    config: &Config,
    terminal: &Terminal,
) -> Result<Tokenizer> {
    let Some(adapter) = adapter.and_then(own_tokenizer) else {
        return Ok(Tokenizer::from_folder(model)?);
    };
    let tokenizer = Tokenizer::from_adapter(adapter, model)?;
    terminal.say(format_args!(
        "Using the tokenizer and chat template in {}",
        adapter.display()
    ));
    let (n_ids, n_model) = (tokenizer.n_ids(), config.vocab_size);
    if n_ids > n_model {
        tracing::warn!(
            "the tokenizer in {} has ids up to {}, and the model has {n_model} tokens: those beyond cannot be used",
            adapter.display(),
            n_ids - 1
        );
    }
    Ok(tokenizer)
}

/// Folder of an adapter that has a tokenizer's files of its own. `adapter` is that folder or the
/// tensor file in it; a checkpoint of a run has those of the run's folder.
pub fn own_tokenizer(adapter: &Path) -> Option<&Path> {
    let folder = match adapter.is_file() {
        true => adapter.parent()?,
        false => adapter,
    };
    let name = folder.file_name().and_then(|name| name.to_str());
    let of_run = folder
        .parent()
        .filter(|_| name.is_some_and(|n| n.starts_with("checkpoint-")));
    [Some(folder), of_run]
        .into_iter()
        .flatten()
        .find(|folder| has_tokenizer_files(folder))
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

/// Reads the adapter that lies at `path`, a PEFT folder or the tensor file in one, for the model in
/// `folder`, to compute with.
///
/// # Errors
/// When it cannot be read, or belongs to another model.
pub fn adapter(model: &Model, folder: &Path, path: &Path) -> Result<Arc<AdapterSet>> {
    Ok(read_adapter(model, folder, path, |_| {})?.frozen(model)?)
}

/// Reads an adapter as [`adapter`] does, its settings changed by `adjust` before, to be trained or
/// looked at.
///
/// # Errors
/// As [`adapter`].
pub fn read_adapter(
    model: &Model,
    folder: &Path,
    path: &Path,
    adjust: impl FnOnce(&mut LoraConfig),
) -> Result<Adapted> {
    if !path.exists() {
        return Err(Error::input(format!("no adapter at {}", path.display()))
            .with_advice("name a folder with adapter_config.json and adapter_model.safetensors"));
    }
    Ok(Adapted::read(path, model, folder, adjust)?)
}
