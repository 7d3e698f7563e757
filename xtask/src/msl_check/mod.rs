//! `cargo xtask msl-check`: the texts that a Mac would compile, read by clang, which knows their address spaces (docs/apple.md).
//!
//! Software Metal's tests leave every text that the launcher of kernels made.

mod apple;
mod clang;
mod coverage;
mod cpp;
#[cfg(all(test, target_os = "linux"))]
mod mutations;

pub use apple::main as compile;

use crate::soft_metal::{supported, texts_of_operations, texts_of_tests};
use clang::Clang;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The kernels' crate: its sources, and what every text of it begins with.
const SOURCES: &str = "../crates/kernels/src";
const PRELUDE: &str = "../crates/kernels/src/metal/prelude.metal";

/// Whether the last step of the project's checks can run, which is told before the first. Other machines do without it.
pub fn can_run_where_it_runs() -> bool {
    !supported() || clang().is_some()
}

/// [`main`] with the texts that the tests of software Metal have left.
pub fn after_tests() -> bool {
    if !supported() {
        eprintln!("xtask: msl-check is left out: this is not x86-64 Linux");
        return true;
    }
    clang().is_some_and(|clang| reads(&clang, &texts_of_tests()))
}

/// Whether clang takes every text, and every source is in one of each dtype.
pub fn main() -> bool {
    let Some(clang) = clang() else { return false };
    texts_of_operations().is_some_and(|folder| reads(&clang, &folder))
}

fn clang() -> Option<Clang> {
    let found = Clang::find();
    found
        .inspect_err(|reason| eprintln!("xtask: msl-check cannot run: {reason}"))
        .ok()
}

fn reads(clang: &Clang, folder: &Path) -> bool {
    match problems(clang, folder) {
        Ok(problems) => {
            problems.iter().for_each(|problem| eprintln!("{problem}"));
            problems.is_empty()
        }
        Err(error) => {
            eprintln!("xtask: msl-check: {}: {error}", folder.display());
            false
        }
    }
}

fn problems(clang: &Clang, folder: &Path) -> io::Result<Vec<String>> {
    let texts = our_texts(folder)?.into_iter();
    let texts: Vec<String> = texts.map(|text| text.text).collect();
    eprintln!("xtask: msl-check: {} texts", texts.len());
    let refused = texts.iter().filter_map(|text| clang.refusal(text));
    let mut problems: Vec<String> = refused.collect();
    problems.extend(coverage::missing(&texts, &sources(&from_here(SOURCES))?));
    Ok(problems)
}

fn from_here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A text that was given to `newLibraryWithSource`, and its file.
struct Text {
    path: PathBuf,
    text: String,
}

/// Those that begin with our prelude: candle's come through software Metal too.
fn our_texts(folder: &Path) -> io::Result<Vec<Text>> {
    let prelude = fs::read_to_string(from_here(PRELUDE))?;
    let mut texts = vec![];
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let text = fs::read_to_string(&path)?;
        if text.starts_with(&prelude) {
            texts.push(Text { path, text });
        }
    }
    Ok(texts)
}

/// Files of MSL below `folder`: path and text.
fn sources(folder: &Path) -> io::Result<Vec<(PathBuf, String)>> {
    let mut found = vec![];
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|end| end == "metal") {
            found.push((path.clone(), fs::read_to_string(path)?));
        }
    }
    Ok(found)
}
