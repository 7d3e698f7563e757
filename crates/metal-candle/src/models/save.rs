use super::Result;
use crate::files;
use candle_core::Tensor;
use serde_json::Value;
use std::path::Path;

/// Writes `config.json` and `model.safetensors` into `folder`, which is made where it is missing.
/// Each file appears whole or not at all; the configuration comes last.
///
/// # Errors
/// When the folder cannot be written.
pub fn save_checkpoint(
    folder: &Path,
    raw_config: &Value,
    weights: Vec<(String, Tensor)>,
) -> Result<()> {
    files::make_folder(folder)?;
    files::write_tensors(&folder.join("model.safetensors"), weights)?;
    files::write_json(&folder.join("config.json"), raw_config)?;
    Ok(())
}
