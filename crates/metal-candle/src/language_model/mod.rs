//! A model with its tokenizer: load, adapt, train on rows in memory, generate, save.

mod adapted;
mod base_model;
mod error;
mod generate;
mod grown;
mod tokenizer;
mod train;

pub use adapted::Adapted;
pub use error::{Error, Result};
pub use generate::Generation;
pub use grown::{config_for, model_for};
pub use tokenizer::{own_tokenizer, tokenizer_for};

use crate::data::Tokenizer;
use crate::lora::LoraConfig;
use crate::models::{Model, OnLoad, check_folder};
use candle_core::Device;
use std::path::{Path, PathBuf};

/// A model with its tokenizer.
pub struct LanguageModel {
    /// Folder that both were read from.
    pub folder: PathBuf,
    /// The network.
    pub model: Model,
    /// Text to tokens and back.
    pub tokenizer: Tokenizer,
}

impl LanguageModel {
    /// Reads a checkpoint folder as Hugging Face has it.
    ///
    /// # Errors
    /// When a file is missing or damaged, or asks for what is not built.
    pub fn load(folder: impl AsRef<Path>, device: &Device) -> Result<Self> {
        Self::load_for(folder, None, device)
    }

    /// Reads a checkpoint folder with the tokenizer of `adapter`, a PEFT folder or the tensor file in one, if
    /// that has its own, and rows for the tokens that it was trained with beyond the model's.
    ///
    /// # Errors
    /// Those of [`Self::load`].
    pub fn load_for(
        folder: impl AsRef<Path>,
        adapter: Option<&Path>,
        device: &Device,
    ) -> Result<Self> {
        Self::load_packing(folder, adapter, None, device)
    }

    /// [`Self::load_for`] that packs dense matrices while they are read.
    ///
    /// # Errors
    /// Those of [`Model::load_packing`], and when the tokenizer's files are not what they should be.
    pub fn load_packing(
        folder: impl AsRef<Path>,
        adapter: Option<&Path>,
        on_load: Option<OnLoad>,
        device: &Device,
    ) -> Result<Self> {
        let folder = folder.as_ref();
        // What is small first: what is wrong with it is known at once.
        check_folder(folder)?;
        let config = config_for(folder, adapter)?;
        Ok(Self {
            tokenizer: tokenizer_for(folder, adapter, &config)?,
            model: model_for(folder, adapter, on_load, device)?,
            folder: folder.to_path_buf(),
        })
    }

    /// Fresh adapters, which change nothing before they are trained; `seed` fixes their values.
    ///
    /// # Errors
    /// When a setting is out of range, or names no layer of the model.
    pub fn adapt(&self, config: LoraConfig, seed: u64) -> Result<Adapted> {
        Adapted::fresh(&self.model, config, seed)
    }

    /// Reads an adapter folder of PEFT or of mlx-lm.
    ///
    /// # Errors
    /// When it cannot be read, or does not fit the model.
    pub fn load_adapter(&self, folder: impl AsRef<Path>) -> Result<Adapted> {
        Adapted::read(folder.as_ref(), &self.model, &self.folder, |_| {})
    }

    /// Writes adapters as a PEFT folder, which names the folder of this model as its base.
    ///
    /// # Errors
    /// When the folder cannot be written; each file appears whole or not at all.
    pub fn save_adapter(&self, adapted: &Adapted, folder: impl AsRef<Path>) -> Result<()> {
        adapted.save(folder.as_ref(), &self.folder.to_string_lossy())
    }
}
