use super::header::sort_entries;
use super::on_host::OnHost;
use super::{Error, UNFINISHED, parent, sync};
use crate::device::finish;
use serde::Serialize;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use tempfile::NamedTempFile;

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
    let folder = parent(path);
    let attempt = || -> std::io::Result<()> {
        let mut neighbour = new_file_in(folder)?;
        let permissions = neighbour.as_file().metadata()?.permissions();
        fill(&mut neighbour)?;
        // By its path: the safetensors crate replaces the file that it is told to write.
        let finished = File::open(neighbour.path())?;
        finished.set_permissions(permissions)?;
        finished.sync_all()?;
        neighbour.persist(path)?;
        sync(folder)
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
        .prefix(UNFINISHED)
        .permissions(permissions)
        .tempfile_in(folder)
}

#[cfg(not(unix))]
fn new_file_in(folder: &Path) -> std::io::Result<NamedTempFile> {
    NamedTempFile::with_prefix_in(UNFINISHED, folder)
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
/// As [`write_whole`], and when the device failed at its work.
pub fn write_tensors(
    path: &Path,
    tensors: Vec<(String, candle_core::Tensor)>,
) -> Result<(), Error> {
    write_marked_tensors(path, tensors, vec![])
}

/// Writes named tensors as [`write_tensors`] does, with more entries in the header.
///
/// # Errors
/// As [`write_tensors`].
pub fn write_marked_tensors(
    path: &Path,
    tensors: Vec<(String, candle_core::Tensor)>,
    mark: Vec<(String, String)>,
) -> Result<(), Error> {
    let format = [("format".to_string(), "pt".to_string())];
    write_headed_tensors(path, tensors, format.into_iter().chain(mark).collect())
}

/// Writes named tensors as a safetensors file with these entries in its header.
///
/// # Errors
/// As [`write_tensors`].
pub fn write_headed_tensors(
    path: &Path,
    tensors: Vec<(String, candle_core::Tensor)>,
    header: HashMap<String, String>,
) -> Result<(), Error> {
    replace(path, |neighbour| {
        // What a device failed at must not be kept.
        let mut devices = tensors.iter().map(|(_, tensor)| tensor.device());
        if let Some(device) = devices.find(|device| !device.is_cpu()) {
            finish(device).map_err(std::io::Error::other)?;
        }
        let failure = RefCell::new(None);
        let tensors = tensors.into_iter().map(|(name, tensor)| {
            let failure = &failure;
            (name, OnHost { tensor, failure })
        });
        safetensors::serialize_to_file(tensors, Some(header), neighbour.path())
            .map_err(std::io::Error::other)?;
        sort_entries(neighbour.path())?;
        failure
            .take()
            .map_or(Ok(()), |error| Err(std::io::Error::other(error)))
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
}
