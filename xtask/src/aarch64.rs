//! `cargo xtask aarch64 [PACKAGE]`: everything portable on the processor of a Mac, by qemu on Linux (docs/apple.md).
//!
//! Not a part of `check`: everything is compiled once more, which takes longer than the tests.

use crate::run_command;
use std::path::Path;
use std::process::{Command, Stdio};

const TARGET: &str = "aarch64-unknown-linux-gnu";
const LINKER: &str = "aarch64-linux-gnu-gcc";
const EMULATOR: &str = "qemu-aarch64";
/// Libraries of the target, where Debian and Ubuntu have them.
const SYSROOT: &str = "/usr/aarch64-linux-gnu";

/// Tests, by the word that chooses them. Documentation's examples are compiled by `check`.
const PACKAGES: [(&str, &str); 3] = [
    ("cpu", "test --package metal-candle-cpu --tests"),
    ("kernels", "test --package metal-candle-kernels --tests"),
    ("metal-candle", "test --package metal-candle --tests"),
];

/// Runs the command line after `aarch64`; `None` where it is not understood.
pub fn main(words: &[String]) -> Option<bool> {
    let chosen: Vec<_> = match words {
        [] => PACKAGES.to_vec(),
        [word] => vec![*PACKAGES.iter().find(|(name, _)| name == word)?],
        _ => return None,
    };
    let missing = missing();
    for (what, remedy) in &missing {
        eprintln!("xtask: aarch64 cannot run: no {what}; {remedy}");
    }
    Some(missing.is_empty() && chosen.iter().all(|(name, line)| test(name, line)))
}

fn test(name: &str, line: &str) -> bool {
    let emulator = format!("{EMULATOR} -L {SYSROOT} -cpu max");
    let mut command = Command::new("cargo");
    command
        .args(line.split(' '))
        .args(["--target", TARGET])
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", LINKER)
        // With every instruction that the emulator knows.
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", &emulator)
        // For tests that start themselves.
        .env("METAL_CANDLE_EMULATOR", &emulator);
    run_command(&format!("aarch64: {name}"), &mut command)
}

/// What is not here, and how to get it.
fn missing() -> Vec<(String, &'static str)> {
    let needed = [
        (
            runs(LINKER),
            format!("linker {LINKER}"),
            "on Debian or Ubuntu: apt-get install gcc-aarch64-linux-gnu",
        ),
        (
            Path::new(SYSROOT).join("lib/libc.so.6").exists(),
            format!("C library in {SYSROOT}"),
            "on Debian or Ubuntu: apt-get install libc6-dev-arm64-cross",
        ),
        (
            runs(EMULATOR),
            format!("emulator {EMULATOR}"),
            "on Debian or Ubuntu: apt-get install qemu-user",
        ),
        (
            has_target(),
            format!("standard library for {TARGET}"),
            "rustup target add aarch64-unknown-linux-gnu",
        ),
    ];
    let missing = needed.into_iter().filter(|(is_here, ..)| !is_here);
    missing.map(|(_, what, remedy)| (what, remedy)).collect()
}

fn runs(program: &str) -> bool {
    let status = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// Whether the compiler has the target's libraries.
fn has_target() -> bool {
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .output();
    output.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_packages_are_tested() {
        for wrong in [vec!["cli"], vec!["cpu", "kernels"], vec![""]] {
            let words: Vec<String> = wrong.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(main(&words), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_missing() {
        assert!(runs("cargo") && !runs("no-such-program"));
    }
}
