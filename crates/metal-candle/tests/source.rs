//! What must not be in the sources of the workspace.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// `Tensor::copy` is no copy: on Metal it shares the buffer, and what is written to the one is in the
/// other. `metal_candle::device::snapshot` is one, `force_contiguous` where that crate is not at hand.
const SHARING: [&str; 3] = [".copy()", "Tensor::copy", "Var::copy"];

/// Files where it means something else.
const ALLOWED: [&str; 2] = [
    // Jinja's dictionaries.
    "crates/metal-candle/src/data/template",
    // This list.
    "crates/metal-candle/tests/source.rs",
];

#[test]
fn no_snapshot_shares_its_memory() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap();
    let files = sources(&root.join("crates"));
    assert!(
        files.len() > 300,
        "the sources are not where this test looks"
    );
    let found: Vec<String> = files
        .iter()
        .map(|file| {
            (
                file.strip_prefix(root).unwrap(),
                fs::read_to_string(file).unwrap(),
            )
        })
        .filter(|(file, _)| !ALLOWED.iter().any(|allowed| file.starts_with(allowed)))
        .flat_map(|(file, text)| shared(file, &text))
        .collect();
    assert!(
        found.is_empty(),
        "take a snapshot instead:\n{}",
        found.join("\n")
    );
}

/// The lines of code that share, by place.
fn shared(file: &Path, text: &str) -> Vec<String> {
    let code = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"));
    let sharing = code.filter(|(_, line)| SHARING.iter().any(|word| line.contains(word)));
    sharing
        .map(|(i, line)| format!("{}:{}: {}", file.display(), i + 1, line.trim()))
        .collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| match path.is_dir() {
        true => sources(&path),
        false => vec![path],
    });
    files
        .filter(|path| path.extension().is_some_and(|end| end == "rs"))
        .collect()
}
