//! Files appear under their final name whole or not at all.

use serde::Serialize;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
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

/// Largest file that is read as one text: ten times the largest tokenizer.
const MAX_TEXT_BYTES: u64 = 512 << 20;

/// Reads a text file.
///
/// # Errors
/// When it does not exist, is no file, is larger than any such file, or is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, Error> {
    let read = || {
        let file = open_file(path)?;
        let mut text = String::new();
        let bytes = file.take(MAX_TEXT_BYTES + 1).read_to_string(&mut text)?;
        match bytes as u64 > MAX_TEXT_BYTES {
            true => Err(wrong(format!("it has more than {MAX_TEXT_BYTES} bytes"))),
            false => Ok(text),
        }
    };
    read().map_err(Error::at("read", path))
}

/// Reads a file.
///
/// # Errors
/// When it does not exist or is no file.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, Error> {
    let read = || {
        let mut bytes = vec![];
        open_file(path)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(Error::at("read", path))
}

/// Opens a file to be read.
///
/// # Errors
/// When it does not exist or is no file: a device may never end, and to open a named pipe waits for somebody who writes.
/// A pipe that a shell has opened, `/dev/fd/N`, is taken.
pub fn open(path: &Path) -> Result<File, Error> {
    open_file(path).map_err(Error::at("read", path))
}

fn open_file(path: &Path) -> std::io::Result<File> {
    let kind = std::fs::metadata(path)?.file_type();
    match kind.is_file() || kind.is_dir() || is_open_pipe(path, kind) {
        // What is read of a folder is an error that names it.
        true => File::open(path),
        false => Err(wrong(
            "it is not a file but a device, a pipe or a socket".into(),
        )),
    }
}

fn wrong(reason: String) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidInput, reason)
}

#[cfg(unix)]
fn is_open_pipe(path: &Path, kind: std::fs::FileType) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let is_open = ["/dev/fd", "/dev/stdin", "/proc/self/fd"];
    kind.is_fifo() && is_open.iter().any(|folder| path.starts_with(folder))
}

#[cfg(not(unix))]
fn is_open_pipe(_: &Path, _: std::fs::FileType) -> bool {
    false
}

/// Makes a folder and those above it.
///
/// # Errors
/// When the system refuses.
pub fn make_folder(path: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(path).map_err(Error::at("create", path))
}

/// Removes a file, if it is there.
///
/// # Errors
/// When the system refuses.
pub fn remove(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::at("remove", path)(source))
        }
        _ => Ok(()),
    }
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
        let mut neighbour = new_file_in(folder)?;
        let permissions = neighbour.as_file().metadata()?.permissions();
        fill(&mut neighbour)?;
        // By its path: the safetensors crate replaces the file that it is told to write.
        let finished = File::open(neighbour.path())?;
        finished.set_permissions(permissions)?;
        finished.sync_all()?;
        neighbour.persist(path)?;
        Ok(())
    };
    attempt().map_err(Error::at("write", path))
}

/// A temporary file with the permissions of any new file: those that the umask leaves, where a
/// temporary one would be its owner's alone.
#[cfg(unix)]
fn new_file_in(folder: &Path) -> std::io::Result<NamedTempFile> {
    use std::os::unix::fs::PermissionsExt;
    let permissions = std::fs::Permissions::from_mode(0o666);
    tempfile::Builder::new()
        .permissions(permissions)
        .tempfile_in(folder)
}

#[cfg(not(unix))]
fn new_file_in(folder: &Path) -> std::io::Result<NamedTempFile> {
    NamedTempFile::new_in(folder)
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

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use candle_core::{DType, Device, Tensor};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn every_file_has_the_permissions_of_a_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |name: &str| {
            folder
                .path()
                .join(name)
                .metadata()
                .unwrap()
                .permissions()
                .mode()
        };
        std::fs::write(folder.path().join("plain"), "x").unwrap();
        write_json(&folder.path().join("json"), &1).unwrap();
        let tensor = Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap();
        let tensors = vec![("t".to_string(), tensor)];
        write_tensors(&folder.path().join("tensors"), tensors).unwrap();
        assert_eq!(
            (mode("json"), mode("tensors")),
            (mode("plain"), mode("plain"))
        );
        assert_eq!(
            folder.path().read_dir().unwrap().count(),
            3,
            "no neighbour is left"
        );
    }

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        for device in ["/dev/null", "/dev/zero"] {
            let error = read_text(Path::new(device)).unwrap_err().to_string();
            assert!(
                error.contains(device) && error.contains("not a file but a device"),
                "{error}"
            );
            assert!(read_bytes(Path::new(device)).is_err() && open(Path::new(device)).is_err());
        }
        let folder = tempfile::tempdir().unwrap();
        assert!(
            read_text(folder.path())
                .unwrap_err()
                .to_string()
                .contains("directory")
        );
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(
            open(&socket)
                .unwrap_err()
                .to_string()
                .contains("not a file but")
        );
        let large = folder.path().join("large");
        File::create(&large)
            .unwrap()
            .set_len(MAX_TEXT_BYTES + 10)
            .unwrap();
        assert!(
            read_text(&large)
                .unwrap_err()
                .to_string()
                .contains("more than")
        );
    }
}
