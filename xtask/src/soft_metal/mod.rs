//! `cargo xtask soft-metal test [filter]`: the Apple path on software Metal (docs/soft-metal.md).
//!
//! Needs x86-64 Linux and a C++ compiler; where one is missing it says so and fails, so that nothing passes unseen.

mod candle;

use crate::run_command;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const WORKSPACE: &str = "crates/soft-metal";

/// Runs the command line after `soft-metal`.
pub fn main(words: &[String]) -> Option<bool> {
    match words {
        [test] if test == "test" => Some(test_all("")),
        [test, filter] if test == "test" => Some(test_all(filter)),
        [lint] if lint == "lint" => Some(lint_all()),
        _ => None,
    }
}

/// Software Metal runs here at all.
fn supported() -> bool {
    cfg!(all(target_os = "linux", target_arch = "x86_64"))
}

fn test_all(filter: &str) -> bool {
    if let Err(reason) = requirements() {
        eprintln!("xtask: soft-metal cannot run: {reason}");
        return false;
    }
    let folders = Folders::new();
    build_wrapper(&folders) && suite(&folders, filter) && candle::test(&folders, filter)
}

/// Formatting and lints; the project's own steps do not see this workspace.
fn lint_all() -> bool {
    let folders = Folders::new();
    let mut format = folders.cargo(&["fmt", "--all", "--check"]);
    let words = [
        "clippy",
        "--quiet",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    run_command("soft-metal: formatting", &mut format)
        && build_wrapper(&folders)
        && run_command("soft-metal: clippy", &mut folders.soft_cargo(&words))
}

fn requirements() -> Result<(), String> {
    if !supported() {
        return Err("it needs x86-64 Linux; on a Mac, Metal itself is there".into());
    }
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "g++".into());
    let found = Command::new(&compiler)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match found {
        Ok(status) if status.success() => Ok(()),
        _ => Err(format!(
            "no C++ compiler ({compiler}): install g++, or name one in CXX"
        )),
    }
}

/// Everything that is built: under the project's target folder, never in the tree.
pub struct Folders {
    manifest: PathBuf,
    target: PathBuf,
}

impl Folders {
    fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .unwrap_or(Path::new("."));
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        Self {
            manifest: root.join(WORKSPACE).join("Cargo.toml"),
            target: target.join("soft-metal"),
        }
    }

    fn cargo(&self, words: &[&str]) -> Command {
        let mut command = Command::new("cargo");
        command
            .arg(words[0])
            .arg("--manifest-path")
            .arg(&self.manifest)
            .args(&words[1..]);
        command
    }

    /// Cargo with the wrapper, as everything on software Metal is built.
    pub fn soft_cargo(&self, words: &[&str]) -> Command {
        let mut command = self.cargo(words);
        command
            .env(
                "RUSTC_WRAPPER",
                self.target.join("wrapper/debug/soft-metal-wrapper"),
            )
            .env("RUSTFLAGS", "--cfg soft_metal")
            .env("SOFT_METAL_SHADOW", self.target.join("shadow"))
            .env("SOFT_METAL_CACHE", self.target.join("msl"))
            .env("CARGO_TARGET_DIR", &self.target);
        command
    }
}

/// The wrapper itself is compiled without a wrapper.
fn build_wrapper(folders: &Folders) -> bool {
    let mut command = folders.cargo(&[
        "test",
        "--quiet",
        "--locked",
        "--package",
        "soft-metal-wrapper",
    ]);
    command.env("CARGO_TARGET_DIR", folders.target.join("wrapper"));
    let mut build = folders.cargo(&[
        "build",
        "--quiet",
        "--locked",
        "--package",
        "soft-metal-wrapper",
    ]);
    build.env("CARGO_TARGET_DIR", folders.target.join("wrapper"));
    run_command(
        "soft-metal: the compiler wrapper and its tests",
        &mut command,
    ) && run_command("soft-metal: the compiler wrapper", &mut build)
}

/// The tests of this project. One at a time: counts of objects and recorded violations are the process's.
fn suite(folders: &Folders, filter: &str) -> bool {
    let words = [
        "test",
        "--locked",
        "--package",
        "soft-metal",
        "--package",
        "soft-metal-suite",
        "--",
        "--test-threads=1",
        filter,
    ];
    run_command(
        "soft-metal: runtime, rules, MPS and kernels",
        &mut folders.soft_cargo(&words),
    )
}
