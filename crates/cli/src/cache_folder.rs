//! Files about this machine, in the user's folder for caches.

use crate::error::{Error, Result};
use std::path::PathBuf;

/// The file of this name.
///
/// # Errors
/// When the system does not tell such a folder.
pub fn file(name: &str) -> Result<PathBuf> {
    let folder = dirs::cache_dir()
        .ok_or_else(|| Error::input("the system does not tell a folder for caches"))?;
    Ok(folder.join("metal-candle").join(name))
}
