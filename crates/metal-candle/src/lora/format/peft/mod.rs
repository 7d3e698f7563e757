//! Adapters as PEFT reads and writes them: a folder with `adapter_config.json` and
//! `adapter_model.safetensors` (`huggingface/peft`, `tuners/lora/config.py` and
//! `utils/save_and_load.py`).
//!
//! Reading is strict: a field that changes the mathematics and is not built is refused by name,
//! and every tensor must be one that the configuration calls for, in its shape.

mod config;
mod refused;
mod resolved;
mod tensors;

use crate::files;
use crate::lora::{Error, LoraConfig};
use candle_core::{Tensor, Var};
use std::path::{Path, PathBuf};

const CONFIG: &str = "adapter_config.json";
const TENSORS: &str = "adapter_model.safetensors";

/// An adapter as it lies in a folder.
#[derive(Debug)]
pub struct PeftFolder {
    /// The tensor file.
    pub path: PathBuf,
    /// Its settings.
    pub config: LoraConfig,
    /// The checkpoint it was trained on, as its author named it.
    pub base_model: Option<String>,
    tensors: Vec<(String, Tensor)>,
}

/// Reads an adapter folder, or a tensor file with `adapter_config.json` beside it.
///
/// # Errors
/// When a file is missing or damaged, or the configuration asks for something that is not built.
pub fn read(path: &Path) -> Result<PeftFolder, Error> {
    let (folder, path) = match path.is_file() {
        true => (path.parent().unwrap_or(Path::new(".")), path.to_path_buf()),
        false => (path, path.join(TENSORS)),
    };
    let (config, base_model) = config::read(&folder.join(CONFIG))?;
    let tensors = tensors::read(&path)?;
    Ok(PeftFolder {
        path,
        config,
        base_model,
        tensors,
    })
}

/// Copies the tensors of a folder into `parameters`, the adapters that its configuration gives on
/// a model.
///
/// # Errors
/// When a tensor is missing, unexpected or misshaped: all of them are listed, nothing is copied.
pub fn load_into(folder: &PeftFolder, parameters: &[(String, Var)]) -> Result<(), Error> {
    tensors::load_into(&folder.path, &folder.tensors, parameters)
}

/// Writes an adapter folder that PEFT loads; each file appears whole or not at all.
///
/// # Errors
/// When the folder cannot be written.
pub fn write(
    folder: &Path,
    config: &LoraConfig,
    base_model: &str,
    parameters: &[(String, Var)],
) -> Result<(), Error> {
    files::make_folder(folder)?;
    files::write_tensors(&folder.join(TENSORS), tensors::on_disk(parameters))?;
    let config = resolved::for_disk(config, parameters);
    files::write_json(&folder.join(CONFIG), &config::on_disk(&config, base_model))?;
    Ok(())
}
