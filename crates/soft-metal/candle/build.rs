//! Copies candle-core's own tests out of the registry's copy of its source, without the inner attributes that `include!`
//! does not take.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".into());
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
    let tests = Path::new(manifest).with_file_name("tests");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("OUT_DIR"));
    for file in fs::read_dir(&tests).expect("candle-core's tests").map(|f| f.expect("a file").path()) {
        if file.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&file).expect("a test");
            let kept: Vec<&str> = text.lines().filter(|l| !l.starts_with("#![")).collect();
            fs::write(out.join(file.file_name().expect("a name")), kept.join("\n")).expect("a copy");
        }
    }
    println!("cargo::rerun-if-changed=Cargo.toml");
    println!("cargo::rerun-if-changed={}", tests.display());
}
