//! Files of an adapter, and what else may lie where they are looked for.

use super::{Format, json};
use crate::files;
use crate::lora::{Error, Found};
use serde_json::{Map, Value};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Settings of an adapter, whatever tool wrote it.
pub(super) const CONFIG: &str = "adapter_config.json";

/// The two files of an adapter.
pub(super) struct Files {
    pub(super) format: Format,
    pub(super) config: PathBuf,
    /// What the configuration holds.
    pub(super) fields: Map<String, Value>,
    pub(super) tensors: PathBuf,
}

/// Files of the adapter at `path`: its folder, or either file in it. The configuration says of which
/// format it is.
///
/// # Errors
/// When one is missing: the error says what is there instead. When the configuration is not JSON.
pub(super) fn find(path: &Path) -> Result<Files, Error> {
    let is_file = path.is_file();
    let named = (is_file && !path.ends_with(CONFIG)).then(|| path.to_path_buf());
    let folder = match is_file {
        true => path.parent().unwrap_or(Path::new(".")),
        false => path,
    };
    check_format(named.as_deref())?;
    let config = folder.join(CONFIG);
    let fields = match config.is_file() {
        true => Some(json::object(&config)?),
        false => None,
    };
    let format = fields.as_ref().map_or(Format::Peft, Format::of);
    let tensors = named.unwrap_or_else(|| folder.join(format.tensors()));
    check_format(Some(&tensors))?;
    match fields {
        Some(fields) if tensors.is_file() => Ok(Files {
            format,
            config,
            fields,
            tensors,
        }),
        _ => Err(missing(folder, config, tensors)),
    }
}

fn check_format(tensors: Option<&Path>) -> Result<(), Error> {
    match tensors.and_then(|path| Some((path, other_format(path)?))) {
        Some((path, found)) => Err(not_an_adapter(path.to_path_buf(), found)),
        None => Ok(()),
    }
}

/// The error where one of the files is missing.
fn missing(folder: &Path, config: PathBuf, tensors: PathBuf) -> Error {
    let has_half = files::is_there(&tensors) || files::is_there(&config);
    if let Some((path, found)) = instead(folder, has_half) {
        return not_an_adapter(path, found);
    }
    let missing = if config.is_file() { tensors } else { config };
    not_an_adapter(missing, Found::Nothing)
}

fn not_an_adapter(path: PathBuf, found: Found) -> Error {
    Error::NotAnAdapter { path, found }
}

/// What a tensor file is that is not safetensors.
fn other_format(path: &Path) -> Option<Found> {
    let mut start = vec![];
    let file = files::open(path).ok()?;
    file.take(9).read_to_end(&mut start).ok()?;
    let is_named = |ending: &str| {
        path.extension()
            .is_some_and(|e| e.eq_ignore_ascii_case(ending))
    };
    match &start[..] {
        // Safetensors: the length of a JSON object, which may be any number, and that object.
        [_, _, _, _, _, _, _, _, b'{'] => None,
        [b'G', b'G', b'U', b'F', ..] => Some(Found::Gguf),
        // A zip archive, or the pickle protocol 2 of older files.
        [b'P', b'K', 3, 4, ..] | [0x80, 2, ..] => Some(Found::Pickle),
        _ if ["bin", "pt", "pth"].into_iter().any(is_named) => Some(Found::Pickle),
        _ => None,
    }
}

/// What a folder holds that is no adapter. One with half of an adapter of its own may also be that
/// of a run, with checkpoints in folders.
fn instead(folder: &Path, has_half: bool) -> Option<(PathBuf, Found)> {
    let here = || folder.to_path_buf();
    let pickle = folder.join("adapter_model.bin");
    if pickle.is_file() {
        return Some((pickle, Found::Pickle));
    }
    let (files, folders) = entries(folder);
    if let Some(gguf) = files.into_iter().find(|file| ends_in_gguf(file)) {
        return Some((gguf, Found::Gguf));
    }
    if !folders.is_empty() && !has_half {
        return Some((here(), Found::Folders(folders)));
    }
    let is_model = folder.join("config.json").is_file() && !folder.join(CONFIG).is_file();
    is_model.then(|| (here(), Found::Model))
}

fn ends_in_gguf(path: &Path) -> bool {
    path.extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("gguf"))
}

/// Files of a folder, and names of the folders in it that hold finished adapters, in order.
fn entries(folder: &Path) -> (Vec<PathBuf>, Vec<String>) {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let (folders, mut files): (Vec<_>, Vec<_>) = entries
        .map(|entry| entry.path())
        .partition(|path| path.is_dir());
    let with_adapter = folders.iter().filter(|path| path.join(CONFIG).is_file());
    let names = with_adapter.filter_map(|path| path.file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    let mut names: Vec<String> = names
        .filter(|name| !name.starts_with(files::UNFINISHED))
        .collect();
    names.sort();
    files.sort();
    (files, names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_of_640_bytes_is_no_pickle() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("adapter_model.safetensors");
        let of = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            other_format(&path)
        };
        assert_eq!(of(&[&640u64.to_le_bytes()[..], b"{}"].concat()), None);
        assert_eq!(of(b"\x80\x02}q\x00(X\x04\x00\x00"), Some(Found::Pickle));
        assert_eq!(of(b"GGUF"), Some(Found::Gguf));
        assert_eq!(of(b""), None);
    }
}
