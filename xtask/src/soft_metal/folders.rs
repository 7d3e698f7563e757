//! Folders, and cargo in the workspace of soft-metal.

use std::path::{Path, PathBuf};
use std::process::Command;

const WORKSPACE: &str = "crates/soft-metal";

/// Everything that is built: under the project's target folder, never in the tree.
pub struct Folders {
    manifest: PathBuf,
    target: PathBuf,
    /// Where launches of kernels are written: how the texts of their libraries begin.
    recorded: Option<&'static str>,
}

impl Folders {
    pub fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .unwrap_or(Path::new("."));
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        Self {
            manifest: root.join(WORKSPACE).join("Cargo.toml"),
            target: target.join("soft-metal"),
            recorded: None,
        }
    }

    /// The folders, where what is run leaves launches of libraries whose text begins so.
    pub fn recording(beginning: &'static str) -> Self {
        Self {
            recorded: Some(beginning),
            ..Self::new()
        }
    }

    /// Cargo with the words of `line`, the subcommand first.
    pub fn cargo(&self, line: &str) -> Command {
        let mut words = line.split_whitespace();
        let mut command = Command::new("cargo");
        command
            .args(words.next())
            .arg("--manifest-path")
            .arg(&self.manifest)
            .args(words);
        command
    }

    /// Cargo for the compiler wrapper itself, which is compiled without one.
    pub fn wrapper_cargo(&self, line: &str) -> Command {
        let mut command = self.cargo(line);
        command.env("CARGO_TARGET_DIR", self.target.join("wrapper"));
        command
    }

    /// With the wrapper, as everything on software Metal is built.
    pub fn soft_cargo(&self, line: &str) -> Command {
        let mut command = self.cargo(line);
        self.soften(&mut command);
        self.record(&mut command);
        command.env("CARGO_TARGET_DIR", &self.target);
        command
    }

    /// A program that was built so, run in `folder`.
    pub fn program(&self, path: &Path, folder: &Path) -> Command {
        let mut command = Command::new(path);
        self.record(command.current_dir(folder));
        command
    }

    fn record(&self, command: &mut Command) {
        command
            .env("SOFT_METAL_CACHE", self.target.join("msl"))
            .env("SOFT_METAL_RECORD", self.kernels())
            .env("SOFT_METAL_TEXTS", self.texts());
        if let Some(beginning) = self.recorded {
            command
                .env("SOFT_METAL_LAUNCHES", self.launches())
                .env("SOFT_METAL_LAUNCHES_OF", beginning);
        }
    }

    /// Cargo for another project, from where this one was called.
    pub fn other_cargo(&self, words: &[String]) -> Command {
        let mut command = Command::new("cargo");
        self.soften(command.args(words));
        command.env("CARGO_TARGET_DIR", self.target.join("other"));
        command
    }

    fn soften(&self, command: &mut Command) {
        command
            .env(
                "RUSTC_WRAPPER",
                self.target.join("wrapper/debug/soft-metal-wrapper"),
            )
            .env("RUSTFLAGS", "--cfg soft_metal")
            .env("SOFT_METAL_SHADOW", self.target.join("shadow"))
            .env("SOFT_METAL_CACHE", self.target.join("msl"));
    }

    /// An example that was built with the tests.
    pub fn example(&self, name: &str) -> PathBuf {
        self.target.join("debug/examples").join(name)
    }

    /// The file in which test programs write what they did with kernels.
    pub fn kernels(&self) -> PathBuf {
        self.target.join("kernels.txt")
    }

    /// The folder in which test programs leave the texts of libraries.
    pub fn texts(&self) -> PathBuf {
        self.target.join("texts")
    }

    /// The folder that repeats launches on another GPU.
    pub fn launches(&self) -> PathBuf {
        self.target.join("launches")
    }

    /// Begins the folder of texts anew.
    pub fn forget_texts(&self) {
        let _ = std::fs::remove_dir_all(self.texts());
    }

    /// Begins the file of kernels anew.
    pub fn forget_kernels(&self) {
        let _ = std::fs::remove_file(self.kernels());
    }
}
