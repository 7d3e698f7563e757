//! `cargo xtask test` and `cargo xtask check`: what a contributor runs, and exactly what CI runs.
#![allow(clippy::print_stderr)]

use std::process::{Command, ExitCode};
use std::time::Instant;

/// A command line, and environment variables for it.
struct Step {
    line: &'static str,
    env: &'static [(&'static str, &'static str)],
}

const fn step(line: &'static str) -> Step {
    Step { line, env: &[] }
}

const TEST: &[Step] = &[step("cargo test --workspace")];

/// Quick steps first; the tests are the last word.
const LINT: &[Step] = &[
    step("cargo fmt --all --check"),
    step("cargo clippy --workspace --all-targets -- -D warnings"),
    step("cargo check --workspace --target aarch64-apple-darwin"),
    Step {
        line: "cargo doc --workspace --no-deps",
        env: &[("RUSTDOCFLAGS", "-D warnings")],
    },
];

const USAGE: &str = "usage: cargo xtask <command>

  test    every test of the project
  check   formatting, lints, a type-check for Apple, documentation, and every test";

fn main() -> ExitCode {
    let steps: Vec<&Step> = match std::env::args().nth(1).as_deref() {
        Some("test") => TEST.iter().collect(),
        Some("check") => LINT.iter().chain(TEST).collect(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match steps.into_iter().all(run) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Runs one step; says what it is, how long it took, and whether it failed.
fn run(step: &Step) -> bool {
    eprintln!("xtask: {}", step.line);
    let mut words = step.line.split(' ');
    let mut command = Command::new(words.next().unwrap_or_default());
    let began = Instant::now();
    let result = command.args(words).envs(step.env.iter().copied()).status();
    let seconds = began.elapsed().as_secs();
    match result {
        Ok(status) if status.success() => {
            eprintln!("xtask: done in {seconds} s");
            true
        }
        Ok(status) => {
            eprintln!("xtask: failed ({status}) after {seconds} s: {}", step.line);
            false
        }
        Err(error) => {
            eprintln!("xtask: cannot run `{}`: {error}", step.line);
            false
        }
    }
}
