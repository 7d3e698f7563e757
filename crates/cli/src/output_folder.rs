//! Folders that a command will write: asked about before work begins, so that hours of it are not
//! lost to a missing permission.

use crate::error::{Error, Result};
use metal_candle::files::{self, NewFolder};
use std::path::Path;

/// Checks that `folder` is, or can become, a folder to write into. Leaves nothing behind.
///
/// # Errors
/// When it cannot.
pub fn check_writable(option: &str, folder: &Path) -> Result<()> {
    let existing = folder
        .ancestors()
        .find(|path| path.exists())
        .unwrap_or(Path::new("."));
    let attempt = match existing.is_dir() {
        true => tempfile::tempfile_in(existing).map(drop),
        false => Err(std::io::ErrorKind::NotADirectory.into()),
    };
    attempt.map_err(|source| {
        let at = existing.display();
        let message = format!(
            "{option} {}: cannot write in {at}: {source}",
            folder.display()
        );
        Error::input(message).with_advice("choose a folder that you may write to")
    })
}

/// Checks that nothing is at `folder` yet, or an empty folder; `advice` says what to do if not.
///
/// # Errors
/// When there is something that would be overwritten.
pub fn check_new(option: &str, folder: &Path, advice: &str) -> Result<()> {
    let is_free = match folder.read_dir() {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => !folder.exists(),
    };
    match is_free {
        true => Ok(()),
        false => {
            let how = if folder.is_dir() {
                "exists and is not empty"
            } else {
                "exists"
            };
            let message = format!("{option} {} {how}", folder.display());
            Err(Error::input(message).with_advice(advice))
        }
    }
}

/// Whether a path is that of a GGUF file, by its ending.
#[must_use]
pub fn is_gguf_file(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("gguf"))
}

/// Gives a finished folder its name, `path`, at which there is nothing but perhaps an empty folder.
///
/// # Errors
/// When something came there since that was checked, or the system refuses.
pub fn finish(new: NewFolder, path: &Path) -> Result<()> {
    if path.exists() {
        std::fs::remove_dir(path).map_err(files::Error::at("write", path))?;
    }
    Ok(new.finish()?)
}
