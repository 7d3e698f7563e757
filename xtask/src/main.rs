//! `cargo xtask test` and `cargo xtask check`: what a contributor runs, and exactly what CI runs.
#![allow(clippy::print_stderr)]

mod aarch64;
mod mac_report;
mod memory;
mod msl_check;
mod soft_metal;

use std::process::{Command, ExitCode};
use std::time::Instant;

/// Environment variables, by name.
type Env = &'static [(&'static str, &'static str)];

/// A command line, and environment variables for it.
struct Step {
    line: &'static str,
    env: Env,
}

const fn step(line: &'static str) -> Step {
    at(&[], line)
}

const fn at(env: Env, line: &'static str) -> Step {
    Step { line, env }
}

const TEST: &[Step] = &[step("cargo test --workspace")];

/// Unit tests of the kernels, and the tests of crates/cpu, without the widest instructions, which every other test uses. A
/// level that the processor does not have counts as absent. All packages take part, and names choose: another choice has
/// other features and compiles the kernels again. Only crates/cpu has no unit tests, and `--lib` would compile it for them
/// all the same.
const LEVELS: &[Step] = &[
    at(AVX512, UNIT_TESTS),
    at(AVX512, CPU_TESTS),
    at(AVX2, UNIT_TESTS),
    at(AVX2, CPU_TESTS),
    at(SCALAR, UNIT_TESTS),
    at(SCALAR, CPU_TESTS),
];

const UNIT_TESTS: &str =
    "cargo test --workspace --exclude metal-candle-cpu --lib -- graph:: host:: ops:: weight::";
const CPU_TESTS: &str = "cargo test --workspace --test levels --test awake";

const AVX512: Env = &[("METAL_CANDLE_SIMD", "avx512")];
const AVX2: Env = &[("METAL_CANDLE_SIMD", "avx2")];
const SCALAR: Env = &[("METAL_CANDLE_SIMD", "scalar")];

/// Quick steps first; the tests are the last word.
const LINT: &[Step] = &[
    step("cargo fmt --all --check"),
    step("cargo clippy --workspace --all-targets -- -D warnings"),
    step("cargo clippy --workspace --all-targets --target aarch64-apple-darwin -- -D warnings"),
    Step {
        line: "cargo doc --workspace --no-deps",
        env: &[("RUSTDOCFLAGS", "-D warnings")],
    },
];

const USAGE: &str = "usage: cargo xtask <command>

  test    every test of the project
  check   formatting, lints, also for Apple, documentation, and every test
  msl-check
          what a Mac would compile, read by clang 17 or later: docs/apple.md; a part of `check`
  msl-compile <folder>
          the same texts, left by `msl-check` or `test` in target/soft-metal/texts of another machine, compiled by a Mac; a job
          of its own in CI
  gpu-replay [filter]
          a folder that repeats the kernels' launches on an NVIDIA GPU: docs/soft-metal.md
  mac-report [--dry-run] [--only STEP,..] [--model MODEL]
          on a Mac: checks, tests, soak, measurements and a real model, in one folder to attach to an issue: docs/apple.md;
          the dry run, on software Metal, is a part of `test`
  aarch64 [cpu|kernels|metal-candle]
          everything portable on the processor of a Mac, by qemu on Linux: docs/apple.md; a job of its own in CI
  miri    the kernels' unsafe code in an interpreter that sees undefined behaviour; nightly
  asan    the kernels' tests with AddressSanitizer, at every level; nightly, x86-64 Linux
  soft-metal test [filter]
          the Apple path on Linux, on Metal in software: docs/soft-metal.md; a part of `test`
  soft-metal run -- <words>
          metal-candle itself there, for instance with `generate --device metal`
  soft-metal soak <iterations>
          the example that looks for what grows (crates/metal-candle/examples/soak.rs)
  soft-metal launch-cost
          microseconds and allocations of the host for a launch: docs/soft-metal.md
  soft-metal cargo -- <words>
          cargo for another project on software Metal, for instance with `test --manifest-path ..`
  soft-metal lint
          formatting and lints of crates/soft-metal; a part of `check`";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let passed = match words.first().map(String::as_str) {
        Some("test") => Some(test()),
        Some("check") => Some(
            msl_check::can_run_where_it_runs()
                && LINT.iter().all(run)
                && soft_metal::lint_where_it_runs()
                && test()
                && msl_check::after_tests(),
        ),
        Some("msl-check") => Some(msl_check::main()),
        Some("msl-compile") => words
            .get(1)
            .map(|folder| msl_check::compile(folder.as_ref())),
        Some("gpu-replay") => Some(soft_metal::replay::prepare(words.get(1))),
        Some("mac-report") => mac_report::main(&words[1..]),
        Some("aarch64") => aarch64::main(&words[1..]),
        Some("miri") => Some(memory::MIRI.iter().all(run)),
        Some("asan") => Some(memory::ASAN.iter().all(run)),
        Some("soft-metal") => soft_metal::main(&words[1..]),
        _ => None,
    };
    match passed {
        Some(true) => ExitCode::SUCCESS,
        Some(false) => ExitCode::FAILURE,
        None => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn test() -> bool {
    TEST.iter().chain(LEVELS).all(run)
        && soft_metal::test_where_it_runs()
        && mac_report::dry_run_where_it_runs()
}

/// Runs one step; says what it is, how long it took, and whether it failed.
fn run(step: &Step) -> bool {
    let mut words = step.line.split(' ');
    let mut command = Command::new(words.next().unwrap_or_default());
    let env = step
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value} "));
    let title = format!("{}{}", env.collect::<String>(), step.line);
    run_command(&title, command.args(words).envs(step.env.iter().copied()))
}

/// A run as of [`run`], for a command that has been put together.
fn run_command(title: &str, command: &mut Command) -> bool {
    eprintln!("xtask: {title}");
    let began = Instant::now();
    let result = command.status();
    let seconds = began.elapsed().as_secs();
    match result {
        Ok(status) if status.success() => {
            eprintln!("xtask: done in {seconds} s");
            true
        }
        Ok(status) => {
            eprintln!("xtask: failed ({status}) after {seconds} s: {title}");
            false
        }
        Err(error) => {
            eprintln!("xtask: cannot run `{title}`: {error}");
            false
        }
    }
}
