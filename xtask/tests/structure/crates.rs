//! Crates of the workspace, and what their manifests say of each other.

use std::fs;
use std::path::Path;

/// Folders of the crates with the height of their layer: a dependency is in a lower one.
pub const LAYERS: [(&str, usize); 8] = [
    ("bench", 6),
    ("cli", 5),
    ("serve", 4),
    ("metal-candle", 3),
    ("kernels", 2),
    ("cpu", 1),
    ("mps", 1),
    ("memory", 0),
];

/// A workspace of its own, which takes the product's crates and is taken by none.
const OUTSIDE: &str = "soft-metal";

/// Dependencies in the manifests of `folder` that do not point down, and crates that have no layer.
pub fn upwards(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names = names.filter(|name| name != OUTSIDE);
    names
        .flat_map(|name| {
            let manifest = folder.join(&name).join("Cargo.toml");
            faults(&name, &fs::read_to_string(manifest).unwrap())
        })
        .collect()
}

fn faults(name: &str, manifest: &str) -> Vec<String> {
    let Some(own) = layer(name) else {
        return vec![format!("crates/{name} has no layer")];
    };
    let upwards = dependencies(manifest).filter(|other| layer(other).is_none_or(|it| it >= own));
    upwards
        .map(|other| format!("crates/{name} depends on crates/{other}, which is not below it"))
        .collect()
}

fn layer(name: &str) -> Option<usize> {
    let found = LAYERS.iter().find(|(of, _)| *of == name);
    found.map(|(_, layer)| *layer)
}

/// Folders of the workspace's crates that a manifest names at the beginning of a line, as dependencies are.
fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    manifest.lines().filter_map(|line| {
        let end = line.find(['.', ' ', '='])?;
        match line[..end].strip_prefix("metal-candle")? {
            "" => Some("metal-candle"),
            rest => rest.strip_prefix('-'),
        }
    })
}

/// Whether a manifest says of the library that it is not compiled for tests.
pub fn is_tested_from_outside(manifest: &str) -> bool {
    let section = manifest.split("\n[").find(|text| text.starts_with("lib]"));
    section.is_some_and(|text| text.lines().any(|line| line == "test = false"))
}

#[test]
fn a_manifest_says_that_its_library_is_tested_from_outside() {
    assert!(is_tested_from_outside(
        "[package]\n\n[lib]\n# Why.\ntest = false\n"
    ));
    assert!(!is_tested_from_outside(
        "[package]\n\n[lib]\n\n[[bin]]\ntest = false\n"
    ));
}

#[test]
fn a_dependency_points_down() {
    let of = |dependency: &str| {
        let manifest = format!("[package]\nname = \"x\"\n\n[dependencies]\n{dependency}\n");
        faults("kernels", &manifest)
    };
    assert_eq!(of("metal-candle-cpu.workspace = true"), [""; 0]);
    assert_eq!(of("serde = \"1\""), [""; 0]);
    for wrong in [
        "metal-candle = { workspace = true }",
        "metal-candle-cli.workspace = true",
        "metal-candle-kernels = {}",
    ] {
        assert_eq!(of(wrong).len(), 1, "{wrong}");
    }
    assert_eq!(faults("other", ""), ["crates/other has no layer"]);
}
