//! Models, tokenizers and adapters as the options name them.

mod base_model;

use crate::error::{Error, Result};
use crate::hub;
use crate::terminal::Terminal;
use candle_core::Device;
use metal_candle::data::Tokenizer;
use metal_candle::lora::{LoraConfig, Plan, format::peft};
use metal_candle::models::{Model, check_folder};
use std::path::{Path, PathBuf};

/// A model with what belongs to it.
pub struct Loaded {
    /// Where its files are.
    pub folder: PathBuf,
    /// The network.
    pub model: Model,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
}

/// Reads the model that `--model` names, a folder or a Hugging Face id.
///
/// # Errors
/// When it cannot be found or read.
pub fn load(name: &str, device: &Device, terminal: &Terminal) -> Result<Loaded> {
    let folder = hub::folder(name, terminal)?;
    // What is no model has no tokenizer either.
    check_folder(&folder)?;
    // The tokenizer first: it is small, and what is wrong with it is known at once.
    let tokenizer = Tokenizer::from_folder(&folder)?;
    Ok(Loaded {
        model: Model::load(&folder, device)?,
        tokenizer,
        folder,
    })
}

/// An adapter that was attached.
pub struct Attached {
    /// Its settings.
    pub config: LoraConfig,
    /// The layers that carry it.
    pub plan: Plan,
}

/// Attaches the adapter that lies at `path`, a PEFT folder or the tensor file in one, to the model
/// in `folder`.
///
/// # Errors
/// When it cannot be read, or belongs to another model.
pub fn attach_adapter(model: &mut Model, folder: &Path, path: &Path) -> Result<Attached> {
    attach_adapter_with(model, folder, path, |_| {})
}

/// [`attach_adapter`], its settings changed by `adjust` before.
///
/// # Errors
/// As [`attach_adapter`].
pub fn attach_adapter_with(
    model: &mut Model,
    folder: &Path,
    path: &Path,
    adjust: impl FnOnce(&mut LoraConfig),
) -> Result<Attached> {
    if !path.exists() {
        return Err(Error::input(format!("no adapter at {}", path.display()))
            .with_advice("name a folder with adapter_config.json and adapter_model.safetensors"));
    }
    let mut adapter = peft::read(path)?;
    if let Some(trained_on) = &adapter.base_model {
        base_model::tell_other(trained_on, folder, &model.raw_config);
    }
    adjust(&mut adapter.config);
    let plan = adapter.plan(&model.decoder.linear_infos()?)?;
    let (base, device) = (
        model.decoder.named_weights(),
        model.decoder.device().clone(),
    );
    adapter.attach(&plan, model.decoder.linears_mut(), &base, &device)?;
    let config = adapter.config;
    Ok(Attached { config, plan })
}
