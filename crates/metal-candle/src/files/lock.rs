use super::Error;
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;

/// Folder that no other process claims until this is dropped. Advisory: it binds those who ask.
#[derive(Debug)]
pub struct FolderLock {
    /// Closing it gives the folder free, as does the end of the process, however it ends.
    _file: File,
}

impl FolderLock {
    /// Claims `folder`, which exists; `None` where another process has it.
    ///
    /// # Errors
    /// When the system refuses. A file system without locks is claimed by everybody.
    pub fn claim(folder: &Path) -> Result<Option<Self>, Error> {
        let file = open(folder).map_err(Error::at("lock", folder))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) if source.kind() != ErrorKind::Unsupported => {
                Err(Error::at("lock", folder)(source))
            }
            _ => Ok(Some(Self { _file: file })),
        }
    }
}

/// Where folders can be opened they are locked themselves: no file is left in them.
#[cfg(unix)]
fn open(folder: &Path) -> std::io::Result<File> {
    File::open(folder)
}

#[cfg(not(unix))]
fn open(folder: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options
        .create(true)
        .write(true)
        .truncate(false)
        .open(folder.join(".lock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_claim_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::claim(folder.path()).unwrap();
        assert!(first.is_some());
        assert!(FolderLock::claim(folder.path()).unwrap().is_none());
        drop(first);
        assert!(FolderLock::claim(folder.path()).unwrap().is_some());
    }
}
