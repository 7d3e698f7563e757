use super::Result;
use crate::files;
use candle_core::{DType, Tensor};
use serde_json::Value;
use std::path::Path;

/// Writes `config.json` and `model.safetensors` into `folder`, which is made where it is missing.
/// Each file appears whole or not at all; the configuration comes last and names the dtype of the
/// first weights that are floats.
///
/// # Errors
/// When the folder cannot be written.
pub fn save_checkpoint(
    folder: &Path,
    raw_config: &Value,
    weights: Vec<(String, Tensor)>,
) -> Result<()> {
    let mut config = raw_config.clone();
    let mut dtypes = weights.iter().map(|(_, tensor)| tensor.dtype());
    if let (Some(first), Some(fields)) = (dtypes.find(DType::is_float), config.as_object_mut()) {
        let mut spelled = vec!["dtype", "torch_dtype"];
        spelled.retain(|name| fields.contains_key(*name));
        if spelled.is_empty() {
            spelled.push("dtype");
        }
        for name in spelled {
            fields.insert(name.into(), dtype_name(first).into());
        }
    }
    files::make_folder(folder)?;
    files::write_tensors(&folder.join("model.safetensors"), weights)?;
    files::write_json(&folder.join("config.json"), &config)?;
    Ok(())
}

/// PyTorch's name of a dtype.
fn dtype_name(dtype: DType) -> &'static str {
    match dtype {
        DType::F16 => "float16",
        DType::BF16 => "bfloat16",
        _ => "float32",
    }
}
