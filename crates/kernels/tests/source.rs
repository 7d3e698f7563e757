//! What must not be in the source of this crate.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// candle operations that end the graph without an error, and the crate whose fused operations
/// are made of them.
const FORBIDDEN: [&str; 4] = [
    "apply_op1_no_bwd",
    "apply_op2_no_bwd",
    "apply_op3_no_bwd",
    "candle_nn",
];

fn sources(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = vec![];
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => files.extend(sources(&path)?),
            false => files.push(path),
        }
    }
    Ok(files)
}

#[test]
fn no_operation_ends_the_graph() -> io::Result<()> {
    let files = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))?;
    assert!(
        files.len() > 20,
        "the sources are not where this test looks"
    );
    for file in files {
        let text = fs::read_to_string(&file)?;
        for word in FORBIDDEN {
            assert!(!text.contains(word), "{word} in {}", file.display());
        }
    }
    Ok(())
}
