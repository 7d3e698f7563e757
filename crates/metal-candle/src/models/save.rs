use super::Result;
use crate::files;
use candle_core::{DType, Tensor};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Files beside the weights that make a folder usable: tokenizer and generation settings.
const COMPANIONS: [&str; 7] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "generation_config.json",
    "vocab.json",
    "merges.txt",
];

/// Writes `config.json` and `model.safetensors` into `folder`, which is made where it is missing.
/// Each file appears whole or not at all; the configuration comes last and names the dtype of the
/// weights.
///
/// # Errors
/// When the folder cannot be written.
pub fn save_checkpoint(
    folder: &Path,
    raw_config: &Value,
    weights: Vec<(String, Tensor)>,
) -> Result<()> {
    let mut config = raw_config.clone();
    if let (Some((_, first)), Some(fields)) = (weights.first(), config.as_object_mut()) {
        let spelled = ["dtype", "torch_dtype"]
            .into_iter()
            .find(|name| fields.contains_key(*name));
        fields.insert(
            spelled.unwrap_or("dtype").into(),
            dtype_name(first.dtype()).into(),
        );
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

/// Folder of named chat templates, beside `chat_template.jinja`.
const NAMED_TEMPLATES: &str = "additional_chat_templates";

/// Copies the tokenizer, its chat templates and the generation settings of a checkpoint to
/// another folder.
///
/// # Errors
/// When a file cannot be read or written.
pub fn copy_companions(from: &Path, to: &Path) -> Result<()> {
    copy_files(from, to, COMPANIONS.map(PathBuf::from))?;
    let templates = from.join(NAMED_TEMPLATES);
    if !templates.is_dir() {
        return Ok(());
    }
    files::make_folder(&to.join(NAMED_TEMPLATES))?;
    let entries = std::fs::read_dir(&templates).map_err(files::Error::at("read", &templates))?;
    let names =
        entries.filter_map(|entry| Some(Path::new(NAMED_TEMPLATES).join(entry.ok()?.file_name())));
    copy_files(from, to, names)
}

fn copy_files(from: &Path, to: &Path, names: impl IntoIterator<Item = PathBuf>) -> Result<()> {
    for name in names {
        let source = from.join(&name);
        if source.is_file() {
            let bytes = std::fs::read(&source).map_err(files::Error::at("read", &source))?;
            files::write_whole(&to.join(&name), |file| file.write_all(&bytes))?;
        }
    }
    Ok(())
}
