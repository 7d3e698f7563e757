//! Files beside the weights that make a folder usable: tokenizer, chat templates, generation
//! settings, licence.

use super::Result;
use crate::files;
use crate::gguf::{GgufFile, tokenizer::TokenizerFiles};
use std::path::{Path, PathBuf};

/// Ends of files that do not belong to what is copied: weights, states of training, data, logs and
/// pictures.
const LEFT_OUT_ENDS: &[&str] = &[
    ".safetensors",
    ".index.json",
    ".bin",
    ".pt",
    ".pth",
    ".ckpt",
    ".gguf",
    ".ggml",
    ".h5",
    ".msgpack",
    ".onnx",
    ".onnx_data",
    ".npz",
    ".npy",
    ".pkl",
    ".tflite",
    ".mlmodel",
    ".jsonl",
    ".csv",
    ".tsv",
    ".parquet",
    ".arrow",
    ".log",
    ".lock",
    ".tmp",
    ".incomplete",
    ".zip",
    ".tar",
    ".gz",
    ".png",
    ".jpg",
    ".jpeg",
    ".gif",
    ".svg",
    ".pdf",
    ".md",
];

/// Files of another kind than the others with their ends. `config.json` is written, not copied.
const LEFT_OUT: &[&str] = &[
    "config.json",
    "adapter_config.json",
    "trainer_state.json",
    "all_results.json",
    "train_results.json",
    "eval_results.json",
    "run.json",
    "checkpoint.json",
];

/// Beginnings of names of licences, which are copied whatever their ends, in capitals.
const LICENCES: [&str; 6] = [
    "LICENSE",
    "LICENCE",
    "NOTICE",
    "USE_POLICY",
    "COPYING",
    "COPYRIGHT",
];

/// Largest file that is copied: above every tokenizer that is known.
const LIMIT_BYTES: u64 = 128 << 20;

/// Folder of named chat templates, beside `chat_template.jinja`.
const NAMED_TEMPLATES: &str = "additional_chat_templates";

/// Copies what a checkpoint has beside its weights to another folder: every file that is not known
/// to be something else, since each tool has files of its own. The model card stays: it describes
/// the model that it was written for. Of a GGUF file, the tokenizer that it describes.
///
/// # Errors
/// When a file cannot be read or written.
pub fn copy_companions(from: &Path, to: &Path) -> Result<()> {
    if GgufFile::is_at(from) {
        let files = TokenizerFiles::read(GgufFile::open(from)?.metadata())?;
        files::write_json(&to.join("tokenizer.json"), &files.tokenizer)?;
        return Ok(files::write_json(
            &to.join("tokenizer_config.json"),
            &files.config,
        )?);
    }
    let is_companion = |name: &str| is_licence(name) || !is_left_out(name);
    copy_files(from, to, Path::new(""), is_companion)?;
    copy_files(from, to, Path::new(NAMED_TEMPLATES), is_companion)
}

/// Files of a tokenizer and its chat templates.
const TOKENIZER: &[&str] = &[
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "merges.txt",
    "special_tokens_map.json",
    "tekken.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
];

/// Copies the tokenizer and chat templates that lie in a folder, as PEFT saves them beside an
/// adapter, over those in another.
///
/// # Errors
/// When a file cannot be read or written.
pub fn copy_tokenizer(from: &Path, to: &Path) -> Result<()> {
    copy_files(from, to, Path::new(""), |name| TOKENIZER.contains(&name))?;
    copy_files(from, to, Path::new(NAMED_TEMPLATES), |name| {
        !is_left_out(name)
    })
}

fn is_left_out(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    name.starts_with('.')
        || LEFT_OUT.contains(&name)
        || LEFT_OUT_ENDS.iter().any(|end| lower.ends_with(end))
}

fn is_licence(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    LICENCES.iter().any(|start| name.starts_with(start))
}

/// Copies the regular files of `from/below` that are wanted, and links as what they lead to.
fn copy_files(
    from: &Path,
    to: &Path,
    below: &Path,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<()> {
    for source in regular_files(&from.join(below))? {
        let Some(name) = source
            .file_name()
            .filter(|name| name.to_str().is_some_and(&is_wanted))
        else {
            continue;
        };
        let bytes = source
            .metadata()
            .map_err(files::Error::at("read", &source))?
            .len();
        if bytes > LIMIT_BYTES {
            tracing::warn!("{}: not copied, it has {bytes} bytes", source.display());
            continue;
        }
        let content = std::fs::read(&source).map_err(files::Error::at("read", &source))?;
        files::make_folder(&to.join(below))?;
        files::write_whole(&to.join(below).join(name), |file| file.write_all(&content))?;
    }
    Ok(())
}

fn regular_files(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(vec![]);
    }
    let entries = std::fs::read_dir(folder).map_err(files::Error::at("read", folder))?;
    let paths = entries.map(|entry| Ok(entry.map_err(files::Error::at("read", folder))?.path()));
    let files: Result<Vec<PathBuf>> = paths
        .filter(|path| !matches!(path, Ok(path) if !path.is_file()))
        .collect();
    files
}
