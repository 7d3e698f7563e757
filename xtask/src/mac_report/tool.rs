//! What runs a step's words: on a Mac what was built there, in a dry run software Metal.

use super::folder::Folder;
use super::python;
use crate::soft_metal;
use std::process::Command;

/// A program that steps run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// Cargo; in a dry run in the workspace of software Metal.
    Cargo,
    /// `metal-candle`.
    Program,
    /// `metal-candle-bench`.
    Bench,
    /// The example that looks for what grows.
    Soak,
    /// A Python of the system.
    Python,
    /// The Python that has MLX.
    Mlx,
    /// A script for `sh`, in one word.
    Shell,
}

impl Tool {
    /// The command of these words.
    ///
    /// # Errors
    /// When the system does not have the tool.
    pub fn command(
        self,
        words: &[String],
        folder: &Folder,
        dry_run: bool,
    ) -> Result<Command, String> {
        let mut command = match (self, dry_run) {
            (Self::Cargo, true) => soft_metal::cargo(&words.join(" ")),
            (Self::Program, true) => soft("--bin metal-candle"),
            (Self::Bench, true) => soft("--bin metal-candle-bench"),
            (Self::Soak, true) => soft("--example soak"),
            (Self::Cargo, false) => Command::new("cargo"),
            (Self::Program, false) => built(folder, "metal-candle"),
            (Self::Bench, false) => built(folder, "metal-candle-bench"),
            (Self::Soak, false) => built(folder, "examples/soak"),
            (Self::Python, _) => Command::new(python::find()?),
            (Self::Mlx, _) => Command::new(folder.mlx_python()),
            (Self::Shell, _) => Command::new("sh"),
        };
        if self == Self::Shell {
            command.arg("-c");
        }
        if (self, dry_run) != (Self::Cargo, true) {
            command.args(words);
        }
        command.current_dir(&folder.root);
        Ok(command)
    }
}

fn built(folder: &Folder, name: &str) -> Command {
    Command::new(folder.target.join("release").join(name))
}

/// A program of software Metal, by its kind and name.
fn soft(program: &str) -> Command {
    soft_metal::cargo(&format!(
        "run --quiet --locked --package soft-metal-product {program} --"
    ))
}
