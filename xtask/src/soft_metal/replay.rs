//! `cargo xtask gpu-replay`: a folder with which a machine with an NVIDIA GPU repeats what software Metal computed.

use super::folders::Folders;
use super::{operations, with_wrapper};
use crate::run_command;
use std::fs;
use std::io::Result;

/// What runs there.
const PROGRAM: [(&str, &str); 2] = [
    (
        "metal.cuh",
        include_str!("../../../crates/soft-metal/replay/metal.cuh"),
    ),
    (
        "replay.py",
        include_str!("../../../crates/soft-metal/replay/replay.py"),
    ),
];

/// Only our kernels are written: those of libraries that begin so.
const PRELUDE: &str = include_str!("../../../crates/kernels/src/metal/prelude.metal");

/// Runs the tests of operations and leaves the folder.
pub fn prepare() -> bool {
    with_wrapper(|folders| match write(folders) {
        Ok(passed) => passed,
        Err(error) => {
            eprintln!("xtask: {}: {error}", folders.launches().display());
            false
        }
    })
}

fn write(folders: &Folders) -> Result<bool> {
    let launches = folders.launches();
    let _ = fs::remove_dir_all(&launches);
    fs::create_dir_all(&launches)?;
    for (name, text) in PROGRAM {
        fs::write(launches.join(name), text)?;
    }
    let mut command = folders.soft_cargo(&operations());
    command.env("SOFT_METAL_LAUNCHES", &launches);
    command.env(
        "SOFT_METAL_LAUNCHES_OF",
        PRELUDE.lines().next().unwrap_or_default(),
    );
    let passed = run_command("soft-metal: launches of kernels", &mut command);
    eprintln!(
        "xtask: on a machine with an NVIDIA GPU: python3 {}",
        launches.join("replay.py").display()
    );
    Ok(passed)
}
