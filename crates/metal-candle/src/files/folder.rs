use super::{Error, FolderLock, make_folder, neighbour, parent, remove_all, sync};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Folder that is being written. It takes its final name by [`Self::finish`] and goes away without it.
#[derive(Debug)]
pub struct NewFolder {
    path: PathBuf,
    final_path: PathBuf,
    _lock: FolderLock,
}

impl NewFolder {
    /// Empty folder that will become `path`. What a killed process left of it is removed.
    ///
    /// # Errors
    /// When the system refuses, or another process is writing it.
    pub fn begin(path: &Path) -> Result<Self, Error> {
        let unfinished = neighbour(path, "");
        make_folder(parent(path))?;
        if unfinished.exists() {
            claim(&unfinished, path)?;
            remove_all(&unfinished)?;
        }
        std::fs::create_dir(&unfinished).map_err(Error::at("create", &unfinished))?;
        Ok(Self {
            _lock: claim(&unfinished, path)?,
            path: unfinished,
            final_path: path.to_path_buf(),
        })
    }

    /// Where the folder is until it is finished.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the folder its final name; a folder that has it is replaced.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn finish(self) -> Result<(), Error> {
        let older = neighbour(&self.final_path, "old-");
        remove_all(&older)?;
        self.rename(&older)
            .map_err(Error::at("write", &self.final_path))?;
        remove_all(&older)
    }

    fn rename(&self, older: &Path) -> std::io::Result<()> {
        sync(&self.path)?;
        if self.final_path.exists() {
            std::fs::rename(&self.final_path, older)?;
        }
        std::fs::rename(&self.path, &self.final_path)?;
        sync(parent(&self.final_path))
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        // After `finish` there is nothing of this name; a folder that cannot be removed is left to the next.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn claim(unfinished: &Path, path: &Path) -> Result<FolderLock, Error> {
    let busy = || Error {
        action: "write",
        path: path.to_path_buf(),
        source: std::io::Error::new(ErrorKind::ResourceBusy, "another process is writing it"),
    };
    FolderLock::claim(unfinished)?.ok_or_else(busy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = folder.read_dir().unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_appears_whole_or_not_at_all() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("made");
        for text in ["first", "second"] {
            let new = NewFolder::begin(&path).unwrap();
            std::fs::write(new.path().join("file"), text).unwrap();
            assert_ne!(
                std::fs::read_to_string(path.join("file")).ok().as_deref(),
                Some(text)
            );
            new.finish().unwrap();
            assert_eq!(std::fs::read_to_string(path.join("file")).unwrap(), text);
        }
        drop(NewFolder::begin(&path).unwrap());
        assert_eq!(names(place.path()), ["made"]);
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_a_living_one_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("made");
        std::fs::create_dir(place.path().join(".tmp-made")).unwrap();
        std::fs::write(place.path().join(".tmp-made/half"), "x").unwrap();
        let new = NewFolder::begin(&path).unwrap();
        assert!(names(new.path()).is_empty());
        let error = NewFolder::begin(&path).unwrap_err().to_string();
        assert!(error.contains("another process is writing it"), "{error}");
        assert!(new.path().exists());
    }
}
