//! What libraries were made of: a file for each text in the folder that `SOFT_METAL_TEXTS` names, so that other compilers can
//! read exactly what the host gave.

use super::build::{hash, put};
use std::fs;
use std::path::PathBuf;

/// Writes the text, if there is such a folder.
pub fn keep(source: &str) {
    let Some(folder) = std::env::var_os("SOFT_METAL_TEXTS").map(PathBuf::from) else { return };
    let file = folder.join(format!("{:016x}.metal", hash(source)));
    let written = fs::create_dir_all(&folder).and_then(|()| put(&file, source.as_bytes()));
    written.expect("SOFT_METAL_TEXTS can be written");
}
