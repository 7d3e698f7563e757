//! `cargo xtask gpu-replay`: a folder with which a machine with an NVIDIA GPU repeats what software Metal computed.

use super::folders::Folders;
use super::{suite, with_wrapper};
use std::fs;
use std::io::Result;

/// What runs there.
const PROGRAM: [(&str, &str); 7] = [
    (
        "metal.cuh",
        include_str!("../../../crates/soft-metal/replay/metal.cuh"),
    ),
    (
        "gpu.py",
        include_str!("../../../crates/soft-metal/replay/gpu.py"),
    ),
    (
        "launches.py",
        include_str!("../../../crates/soft-metal/replay/launches.py"),
    ),
    (
        "replay.py",
        include_str!("../../../crates/soft-metal/replay/replay.py"),
    ),
    (
        "mutations.py",
        include_str!("../../../crates/soft-metal/replay/mutations.py"),
    ),
    (
        "mutations.json",
        include_str!("../../../crates/soft-metal/replay/mutations.json"),
    ),
    (
        "rates.py",
        include_str!("../../../crates/soft-metal/replay/rates.py"),
    ),
];

/// The example with row kernels of real sizes.
const ROWS: &str = "rows";

/// Only our kernels are written: those of libraries that begin so.
const PRELUDE: &str = include_str!("../../../crates/kernels/src/metal/prelude.metal");

/// Runs the tests of operations whose names have `filter` in them, and row kernels of real sizes where they are not left out,
/// and leaves the folder.
pub fn prepare(filter: Option<&String>) -> bool {
    let folders = Folders::recording(PRELUDE.lines().next().unwrap_or_default());
    let filter = filter.map_or("", String::as_str);
    with_wrapper(|_| match write(&folders, filter) {
        Ok(passed) => passed,
        Err(error) => {
            eprintln!("xtask: {}: {error}", folders.launches().display());
            false
        }
    })
}

fn write(folders: &Folders, filter: &str) -> Result<bool> {
    let launches = folders.launches();
    let _ = fs::remove_dir_all(&launches);
    fs::create_dir_all(&launches)?;
    for (name, text) in PROGRAM {
        fs::write(launches.join(name), text)?;
    }
    let passed = suite::operations(folders, filter) && (!ROWS.contains(filter) || rows(folders)?);
    eprintln!(
        "xtask: on a machine with an NVIDIA GPU: python3 {}",
        launches.join("replay.py").display()
    );
    Ok(passed)
}

fn rows(folders: &Folders) -> Result<bool> {
    let mut command = folders.program(&folders.example(ROWS), &folders.launches());
    Ok(command.status()?.success())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::PROGRAM;
    use serde_json::Value;
    use std::fs;
    use std::path::Path;

    /// A text as `mutations.py` looks for it: what is between its words does not count.
    fn packed(text: &str) -> String {
        let code = text
            .lines()
            .map(|line| line.split("//").next().unwrap_or_default());
        code.flat_map(str::split_whitespace).collect()
    }

    /// Texts of the files of MSL below `folder`, packed.
    fn sources(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .flat_map(|path| match path.extension() {
                _ if path.is_dir() => sources(&path),
                Some(end) if end == "metal" => vec![packed(&fs::read_to_string(path).unwrap())],
                _ => vec![],
            })
            .collect()
    }

    #[test]
    fn every_mutation_is_of_a_text_that_is_there() {
        let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/kernels/src"));
        let (_, table) = PROGRAM
            .iter()
            .find(|(name, _)| *name == "mutations.json")
            .unwrap();
        let table: Vec<Value> = serde_json::from_str(table).unwrap();
        assert!(table.len() > 50, "{} mutations", table.len());
        for mutation in table {
            let [old, new] = ["old", "new"].map(|side| packed(mutation[side].as_str().unwrap()));
            let is_there = sources.iter().any(|source| source.contains(&old));
            assert!(is_there && old != new, "{mutation}");
        }
    }
}
