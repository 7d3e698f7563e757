//! A model with its tokenizer: load, adapt, train on rows in memory, generate, save.

mod error;
mod generate;
mod train;

pub use error::{Error, Result};
pub use generate::Generation;

use crate::data::Tokenizer;
use crate::lora::{AdapterSet, LoraConfig, Plan, format::peft};
use crate::models::Model;
use candle_core::Device;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A model with its tokenizer.
pub struct LanguageModel {
    /// Folder that both were read from.
    pub folder: PathBuf,
    /// The network.
    pub model: Model,
    /// Text to tokens and back.
    pub tokenizer: Tokenizer,
}

/// Adapters of a model, with the settings that their files hold.
#[derive(Clone, Debug)]
pub struct Adapted {
    /// What the adapters are.
    pub config: LoraConfig,
    /// Their values by layer.
    pub set: Arc<AdapterSet>,
}

impl LanguageModel {
    /// Reads a checkpoint folder as Hugging Face has it.
    ///
    /// # Errors
    /// When a file is missing or damaged, or asks for what is not built.
    pub fn load(folder: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let folder = folder.as_ref();
        Ok(Self {
            tokenizer: Tokenizer::from_folder(folder)?,
            model: Model::load(folder, device)?,
            folder: folder.to_path_buf(),
        })
    }

    /// Fresh adapters, which change nothing before they are trained; `seed` fixes their values.
    ///
    /// # Errors
    /// When a setting is out of range, or names no layer of the model.
    pub fn adapt(&self, config: LoraConfig, seed: u64) -> Result<Adapted> {
        let plan = Plan::new(&config, &self.model.decoder.layer_infos()?)?;
        let set = AdapterSet::fresh(&plan, &self.model.decoder.adaptable(), seed)?;
        Ok(Adapted {
            config,
            set: Arc::new(set),
        })
    }

    /// Reads a PEFT folder.
    ///
    /// # Errors
    /// When it cannot be read, or does not fit the model.
    pub fn load_adapter(&self, folder: impl AsRef<Path>) -> Result<Adapted> {
        let file = peft::read(folder.as_ref())?;
        let decoder = &self.model.decoder;
        let plan = file.plan(&decoder.layer_infos()?)?;
        let base = decoder.named_weights();
        let set = file.load(&plan, &decoder.adaptable(), &base)?;
        Ok(Adapted {
            config: file.config,
            set: Arc::new(set),
        })
    }

    /// Writes adapters as a PEFT folder, which names the folder of this model as its base.
    ///
    /// # Errors
    /// When the folder cannot be written; each file appears whole or not at all.
    pub fn save_adapter(&self, adapted: &Adapted, folder: impl AsRef<Path>) -> Result<()> {
        let (base, values) = (self.folder.display(), adapted.set.parameters());
        Ok(peft::write(
            folder.as_ref(),
            &adapted.config,
            &base.to_string(),
            &values,
        )?)
    }
}
