//! Tells the tests where candle-core's own tests are: in the registry's copy of its source.

use std::process::Command;

fn main() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline", "--filter-platform", "x86_64-unknown-linux-gnu"])
        .env_remove("RUSTC_WRAPPER")
        .output()
        .expect("cargo metadata");
    let text = String::from_utf8_lossy(&output.stdout);
    let manifest = text
        .split("\"manifest_path\":\"")
        .filter_map(|rest| rest.split('"').next())
        .find(|path| path.contains("/candle-core-") && path.ends_with("/Cargo.toml"))
        .expect("candle-core among the packages");
    println!("cargo::rustc-env=CANDLE_CORE_TESTS={}", manifest.replace("Cargo.toml", "tests"));
    println!("cargo::rerun-if-changed=Cargo.toml");
}
