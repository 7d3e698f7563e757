//! Structure of the source. Arrows between crates and between the modules of a crate point down, and none closes a
//! circle; doc comments begin with their noun; loops over registers of a GPU are unrolled.
#![allow(clippy::unwrap_used)]

mod comments;
mod crates;
mod graph;
mod imports;
mod registers;

use graph::Graph;
use imports::Imports;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn crates_depend_on_lower_ones() {
    let upwards = crates::upwards(&root().join("crates"));
    assert!(upwards.is_empty(), "{}", upwards.join("\n"));
}

/// `test = false` of `[lib]` has no test inside of the library compiled, without a word.
#[test]
fn libraries_that_are_tested_from_outside_have_no_tests_inside() {
    let mut faults = vec![];
    for (name, _) in crates::LAYERS {
        let folder = root().join("crates").join(name);
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        if crates::is_tested_from_outside(&manifest) {
            let has_tests = |file: &PathBuf| {
                let text = fs::read_to_string(file).unwrap();
                text.contains("#[test]") || text.contains("cfg(test)")
            };
            faults.extend(
                sources(&folder.join("src"), "rs")
                    .into_iter()
                    .filter(has_tests),
            );
        }
    }
    assert!(faults.is_empty(), "{faults:?}");
}

#[test]
fn modules_import_each_other_in_one_direction() {
    let mut faults = vec![];
    for (name, _) in crates::LAYERS {
        let graph = graph_of(&root().join("crates").join(name).join("src"));
        let found = graph.circles().into_iter();
        faults.extend(found.map(|fault| format!("crates/{name}: {fault}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn doc_comments_begin_with_the_noun_that_they_are_about() {
    let mut faults = vec![];
    for (name, _) in crates::LAYERS {
        for file in sources(&root().join("crates").join(name).join("src"), "rs") {
            faults.extend(comments::faults(&file, &fs::read_to_string(&file).unwrap()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn loops_over_registers_of_a_gpu_are_unrolled() {
    let files = sources(&root().join("crates/kernels/src"), "metal");
    let texts = files.iter().map(|file| fs::read_to_string(file).unwrap());
    let texts: Vec<String> = texts.collect();
    let members = texts.iter().flat_map(|text| registers::members(text));
    let members = members.collect();
    let found = files.iter().zip(&texts);
    let faults = found.flat_map(|(file, text)| registers::faults(file, text, &members));
    let faults: Vec<String> = faults.collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Modules right below `src`, an arrow for each that another imports from. What is compiled for tests only counts not.
fn graph_of(src: &Path) -> Graph {
    let imports = Imports::of_root(&fs::read_to_string(src.join("lib.rs")).unwrap());
    let mut graph = Graph::default();
    for file in sources(src, "rs") {
        let path = file.strip_prefix(src).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        for (from, to) in imports.of_file(path, &text) {
            graph.add(from, to, path);
        }
    }
    graph
}

/// All files below `folder` whose names end so, in order.
fn sources(folder: &Path, end: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let files = paths.into_iter().flat_map(|path| match path.is_dir() {
        true => sources(&path, end),
        false => vec![path],
    });
    files
        .filter(|path| path.extension().is_some_and(|found| found == end))
        .collect()
}
