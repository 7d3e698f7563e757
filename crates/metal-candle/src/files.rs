//! Files appear under their final name whole or not at all.

use serde::Serialize;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A file or folder that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct Error {
    /// What was tried.
    pub action: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// The system's reason.
    pub source: std::io::Error,
}

impl Error {
    /// An [`Error`] from the system's reason.
    pub fn at(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self {
            action,
            path,
            source,
        }
    }
}

/// Reads a text file.
///
/// # Errors
/// When it does not exist or is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(Error::at("read", path))
}

/// Makes a folder and those above it.
///
/// # Errors
/// When the system refuses.
pub fn make_folder(path: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(path).map_err(Error::at("create", path))
}

/// Writes a file by `write` into a temporary neighbour, flushes it to disk and renames it.
///
/// # Errors
/// When any of this fails; the neighbour is removed and an older file of the name stays.
pub fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<(), Error> {
    replace(path, |neighbour| {
        let mut buffered = BufWriter::new(neighbour.as_file_mut());
        write(&mut buffered)?;
        buffered.flush()
    })
}

fn replace(
    path: &Path,
    fill: impl FnOnce(&mut NamedTempFile) -> std::io::Result<()>,
) -> Result<(), Error> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let attempt = || -> std::io::Result<()> {
        let mut neighbour = NamedTempFile::new_in(folder)?;
        fill(&mut neighbour)?;
        neighbour.as_file().sync_all()?;
        open_to_all(&neighbour)?;
        neighbour.persist(path)?;
        Ok(())
    };
    attempt().map_err(Error::at("write", path))
}

/// A temporary file is private to its owner; a finished one has the permissions of any new file.
#[cfg(unix)]
fn open_to_all(file: &NamedTempFile) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let permissions = std::fs::Permissions::from_mode(0o644);
    file.as_file().set_permissions(permissions)
}

#[cfg(not(unix))]
fn open_to_all(_: &NamedTempFile) -> std::io::Result<()> {
    Ok(())
}

/// Writes `value` as JSON, indented by two spaces.
///
/// # Errors
/// As [`write_whole`].
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Error> {
    write_whole(path, |file| {
        serde_json::to_writer_pretty(&mut *file, value)?;
        file.write_all(b"\n")
    })
}

/// Writes named tensors as a safetensors file with `format: pt` in its header, as PyTorch does.
///
/// # Errors
/// As [`write_whole`].
pub fn write_tensors(
    path: &Path,
    tensors: Vec<(String, candle_core::Tensor)>,
) -> Result<(), Error> {
    let header = [("format".to_string(), "pt".to_string())];
    replace(path, |neighbour| {
        safetensors::serialize_to_file(tensors, Some(header.into()), neighbour.path())
            .map_err(std::io::Error::other)
    })
}
