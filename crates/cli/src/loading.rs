//! Models, tokenizers and adapters as the options name them.

use crate::error::{Error, Result};
use crate::hub;
use crate::terminal::Terminal;
use candle_core::Device;
use metal_candle::data::Tokenizer;
use metal_candle::lora::{self, LoraConfig, Plan, format::peft};
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

/// Attaches the adapter that lies at `path`, a PEFT folder or the tensor file in one.
///
/// # Errors
/// When it cannot be read, or belongs to another model.
pub fn attach_adapter(model: &mut Model, path: &Path) -> Result<LoraConfig> {
    attach_adapter_with(model, path, |_| {})
}

/// [`attach_adapter`], its settings changed by `adjust` before.
///
/// # Errors
/// As [`attach_adapter`].
pub fn attach_adapter_with(
    model: &mut Model,
    path: &Path,
    adjust: impl FnOnce(&mut LoraConfig),
) -> Result<LoraConfig> {
    if !path.exists() {
        return Err(Error::input(format!("no adapter at {}", path.display()))
            .with_advice("name a folder with adapter_config.json and adapter_model.safetensors"));
    }
    let mut adapter = peft::read(path)?;
    adjust(&mut adapter.config);
    let plan = Plan::new(&adapter.config, &model.decoder.linear_infos()?)?;
    let device = model.decoder.device().clone();
    // The seed does not matter: every value is read from the file.
    lora::attach(model.decoder.linears_mut(), &plan, 0, &device)?;
    peft::load_into(&adapter, &lora::parameters(model.decoder.linears()))?;
    Ok(adapter.config)
}
