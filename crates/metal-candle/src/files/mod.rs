//! Files and folders appear under their final name whole or not at all.
//!
//! What is being written has a name that begins with [`UNFINISHED`] and lies beside its final name. A
//! process that is killed leaves it; whoever writes there next removes it.

mod folder;
mod hash;
mod header;
mod lock;
mod on_host;
mod publish;
mod read;
mod stable;
mod whole;

pub use folder::NewFolder;
pub use hash::sha256;
pub use lock::FolderLock;
pub use publish::publish;
pub use read::{open, read_bytes, read_text};
pub use stable::StableFile;
pub use whole::{
    write_headed_tensors, write_json, write_marked_tensors, write_tensors, write_whole,
};

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Beginning of the name of everything that is not finished.
pub const UNFINISHED: &str = ".tmp-";

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

/// Makes a folder and those above it.
///
/// # Errors
/// When the system refuses.
pub fn make_folder(path: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(path).map_err(Error::at("create", path))
}

/// Folder of temporary files that may be large: that of the system, but for `/tmp`, which is memory on many systems.
pub(crate) fn large_folder() -> PathBuf {
    let usual = std::env::temp_dir();
    let large = Path::new("/var/tmp");
    match usual == Path::new("/tmp") && large.is_dir() {
        true => large.to_owned(),
        false => usual,
    }
}

/// Whether anything has this name. What has it and cannot be read, a folder or a link to itself, is no
/// absent file: reading it says so.
#[must_use]
pub fn is_there(path: &Path) -> bool {
    !matches!(path.metadata(), Err(source) if source.kind() == ErrorKind::NotFound)
}

/// Removes a file, if it is there.
///
/// # Errors
/// When the system refuses.
pub fn remove(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            Err(Error::at("remove", path)(source))
        }
        _ => Ok(()),
    }
}

/// Removes a folder with all that is in it, if it is there.
///
/// # Errors
/// When the system refuses.
pub fn remove_folder(path: &Path) -> Result<(), Error> {
    match std::fs::remove_dir_all(path) {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            Err(Error::at("remove", path)(source))
        }
        _ => Ok(()),
    }
}

/// Removes what killed processes left unfinished in `folder`. Only for whoever knows that nobody else is
/// writing there.
///
/// # Errors
/// When the system refuses.
pub fn remove_unfinished(folder: &Path) -> Result<(), Error> {
    for entry in folder.read_dir().map_err(Error::at("read", folder))? {
        let entry = entry.map_err(Error::at("read", folder))?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            remove_all(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes a file, a link, or a folder with all that is in it, if it is there.
///
/// # Errors
/// When the system refuses.
pub fn remove_all(path: &Path) -> Result<(), Error> {
    let is_folder = path.symlink_metadata().is_ok_and(|found| found.is_dir());
    match is_folder {
        true => remove_folder(path),
        false => remove(path),
    }
}

/// Path beside `path` of what will become `path`, or was it.
fn neighbour(path: &Path, what: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{UNFINISHED}{what}{name}"))
}

/// Folder that `path` lies in.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Waits until the disk holds the names in `folder`. A system that cannot say so is not asked again.
fn sync(folder: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    match File::open(folder)?.sync_all() {
        Err(source)
            if !matches!(
                source.kind(),
                ErrorKind::InvalidInput | ErrorKind::Unsupported
            ) =>
        {
            return Err(source);
        }
        _ => {}
    }
    Ok(())
}
