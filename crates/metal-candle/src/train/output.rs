use super::{Parameters, Result};
use crate::lora::{LoraConfig, format::peft};
use crate::models::{copy_companions, copy_tokenizer, save_checkpoint};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Result that a run leaves in its folder.
#[derive(Clone, Debug)]
pub enum Output {
    /// A PEFT adapter.
    Adapter {
        /// Its settings.
        config: LoraConfig,
        /// The base model, as its user named it.
        base_model: String,
        /// Folder with a tokenizer of its own, which goes along.
        tokenizer: Option<PathBuf>,
    },
    /// A checkpoint of all weights.
    Checkpoint {
        /// `config.json` of the base model.
        raw_config: Value,
        /// Folder of the base model, whose tokenizer goes along.
        base_folder: PathBuf,
    },
}

impl Output {
    /// Writes the parameters into `folder`; each file appears whole or not at all.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(&self, folder: &Path, parameters: &Parameters) -> Result<()> {
        match self {
            Self::Adapter {
                config,
                base_model,
                tokenizer,
            } => {
                let values = parameters.stored()?;
                let values: Vec<_> = values.iter().map(|(name, t)| (name.clone(), t)).collect();
                peft::write(folder, config, base_model, &values)?;
                match tokenizer {
                    Some(tokenizer) => Ok(copy_tokenizer(tokenizer, folder)?),
                    None => Ok(()),
                }
            }
            Self::Checkpoint {
                raw_config,
                base_folder,
            } => {
                save_checkpoint(folder, raw_config, parameters.stored()?)?;
                Ok(copy_companions(base_folder, folder)?)
            }
        }
    }
}
