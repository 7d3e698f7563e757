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

/// candle's own graph, and the one file that has to do with it: what is put there elsewhere is on no
/// tape. The checks of `testkit`, and a node of the graph, are tested with
/// operations of another crate.
const GRAPH: [&str; 2] = ["CustomOp", "apply_op"];
const ADAPTOR: &str = "graph/adaptor.rs";
const FOREIGN: [&str; 2] = ["testkit/tests.rs", "graph/tests.rs"];

#[test]
fn one_file_adapts_to_the_graph_of_candle() -> io::Result<()> {
    let mut adaptors = vec![];
    for file in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))? {
        let text = fs::read_to_string(&file)?;
        if GRAPH.iter().any(|word| text.contains(word))
            && !FOREIGN.iter().any(|tests| file.ends_with(tests))
        {
            adaptors.push(file);
        }
    }
    assert!(
        matches!(&adaptors[..], [only] if only.ends_with(ADAPTOR)),
        "{adaptors:?}"
    );
    Ok(())
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
