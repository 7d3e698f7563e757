use super::{Parameters, Result};
use crate::files;
use crate::lora::{LoraConfig, format::peft};
use crate::models::{copy_companions, copy_tokenizer, save_checkpoint};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Tokenizer that lies beside an adapter.
#[derive(Clone, Debug)]
pub struct OwnTokenizer {
    /// Folder of the files that it is made of; of a GGUF file there are none.
    pub folder: PathBuf,
    /// Names and texts of files in place of those.
    pub files: Vec<(&'static str, String)>,
}

impl OwnTokenizer {
    fn save(&self, folder: &Path) -> Result<()> {
        copy_tokenizer(&self.folder, folder)?;
        for (name, text) in &self.files {
            let path = folder.join(name);
            files::write_whole(&path, |file| file.write_all(text.as_bytes()))?;
        }
        Ok(())
    }
}

/// Result that a run leaves in its folder.
#[derive(Clone, Debug)]
pub enum Output {
    /// A PEFT adapter.
    Adapter {
        /// Its settings.
        config: Box<LoraConfig>,
        /// The base model, as its user named it.
        base_model: String,
        /// A tokenizer of its own, which goes along.
        tokenizer: Option<OwnTokenizer>,
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
                    Some(tokenizer) => tokenizer.save(folder),
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
