//! `--model` and `--data`: a folder, a file, or a model or data set of the Hugging Face hub, which is downloaded once into the cache
//! that Hugging Face's own tools use.

mod address;
mod cache;
mod connection;
mod data_set;
mod digest;
mod download;
mod environment;
mod failure;
mod files;
mod told;
mod transfer;
mod whole;

use crate::error::{Error, Result};
use crate::terminal::Terminal;
use cache::Cached;
use environment::Environment;
use metal_candle::data::Source;
use metal_candle::gguf::GgufFile;
use std::path::{Path, PathBuf};

/// The folder, or GGUF file, of the model `name`.
///
/// # Errors
/// When there is no such folder or model, or it cannot be downloaded.
pub fn folder(name: &str, terminal: &Terminal) -> Result<PathBuf> {
    let path = Path::new(name);
    if path.is_dir() || GgufFile::is_at(path) {
        return Ok(path.to_path_buf());
    }
    if path.is_file() {
        return Err(
            Error::input(format!("--model {name} is a file, and no GGUF file"))
                .with_advice("name the folder that holds config.json and the safetensors files"),
        );
    }
    if !is_plausible_id(name) {
        return Err(
            Error::input(format!("--model {name:?}: this folder does not exist"))
                .with_advice("check the path, or name a Hugging Face model as OWNER/NAME"),
        );
    }
    let environment = Environment::read()?;
    match cache::look(&environment, name) {
        Cached::Complete(folder) => Ok(folder),
        Cached::Missing(_) if !environment.is_offline => {
            download::download(&environment, name, terminal)
        }
        Cached::Missing(what) => Err(offline(&environment, name, &what)),
    }
}

/// Whether `name` may be that of a data set of the hub.
pub fn is_data_set(name: &str) -> bool {
    data_set::is_one(name)
}

/// Rows of the data set `name` of the hub.
///
/// # Errors
/// When there is no such data set, or it cannot be downloaded.
pub fn data_set(name: &str, terminal: &Terminal) -> Result<Source> {
    data_set::find(&Environment::read()?, name, terminal)
}

/// `OWNER/NAME`, of the characters that the hub allows. A bare name is always a folder: no model
/// of the types that are built has an id without owner.
fn is_plausible_id(name: &str) -> bool {
    let is_word = |part: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        part.starts_with(|c: char| c.is_ascii_alphanumeric()) && part.chars().all(allowed)
    };
    matches!(name.split_once('/'), Some((owner, name)) if is_word(owner) && is_word(name))
}

fn offline(environment: &Environment, name: &str, what: &str) -> Error {
    let cache = environment.cache.display();
    Error::input(format!(
        "there is no folder {name}, it is not complete in the cache {cache} ({what}), \
         and HF_HUB_OFFLINE is set"
    ))
    .with_advice("unset HF_HUB_OFFLINE to download it, name a folder, or check HF_HOME")
}

#[cfg(test)]
mod tests {
    use super::is_plausible_id;

    #[test]
    fn ids_are_told_from_paths() {
        for id in ["Qwen/Qwen3-0.6B", "a/b_c.d"] {
            assert!(is_plausible_id(id), "{id}");
        }
        for path in [
            "", "model", "./model", "/model", "../m", "a/b/c", "a/", "/", "~/m", "a b/c", "a\\b",
        ] {
            assert!(!is_plausible_id(path), "{path}");
        }
    }
}
