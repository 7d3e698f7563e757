//! `cargo xtask soft-metal ..`: the Apple path on software Metal (docs/soft-metal.md).
//!
//! Needs x86-64 Linux and a C++ compiler; where one is missing it says so and fails, so that nothing passes unseen.

mod candle;
mod folders;
mod kernels;
pub mod replay;
mod suite;

use crate::run_command;
use folders::Folders;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use suite::PACKAGES;

/// Words for cargo: the checks of all operations, which compile and launch every kernel of ours.
fn operations() -> String {
    format!("test --locked {PACKAGES} --test operations -- --test-threads=1")
}

/// Runs the command line after `soft-metal`.
pub fn main(words: &[String]) -> Option<bool> {
    match words {
        [test] if test == "test" => Some(test_all("")),
        [test, filter] if test == "test" => Some(test_all(filter)),
        [run, dashes, words @ ..] if run == "run" && dashes == "--" => Some(product(words)),
        [soak, n] if soak == "soak" => Some(run_soak(n)),
        [cost] if cost == "launch-cost" => Some(launch_cost()),
        [cargo, dashes, words @ ..] if cargo == "cargo" && dashes == "--" => Some(other(words)),
        [word] if word == "lint" => Some(lint()),
        _ => None,
    }
}

/// The tests as a part of the project's own. Other machines have nothing to run them on.
pub fn test_where_it_runs() -> bool {
    where_it_runs(|| test_all(""))
}

/// Where the texts of all kernels are that the tests of operations compile.
pub fn texts_of_operations() -> Option<PathBuf> {
    let mut texts = None;
    with_wrapper(|folders| {
        folders.forget_texts();
        let title = "soft-metal: the texts of kernels";
        let passed = run_command(title, &mut folders.soft_cargo(&operations()));
        texts = passed.then(|| folders.texts());
        passed
    });
    texts
}

/// Where the texts of all kernels are that the tests have compiled since they were last run whole.
pub fn texts_of_tests() -> PathBuf {
    Folders::new().texts()
}

/// Whether what [`cargo`] needs is built, or could be.
pub fn prepare() -> bool {
    with_wrapper(|_| true)
}

/// Cargo with the words of `line` in the workspace of software Metal; [`prepare`] comes before.
pub fn cargo(line: &str) -> Command {
    Folders::new().soft_cargo(line)
}

/// The lints as a part of the project's own.
pub fn lint_where_it_runs() -> bool {
    where_it_runs(lint)
}

fn where_it_runs(step: impl FnOnce() -> bool) -> bool {
    if !supported() {
        eprintln!("xtask: soft-metal is left out: this is not x86-64 Linux");
        return true;
    }
    step()
}

pub fn supported() -> bool {
    cfg!(all(target_os = "linux", target_arch = "x86_64"))
}

fn test_all(filter: &str) -> bool {
    with_wrapper(|folders| {
        folders.forget_kernels();
        folders.forget_texts();
        wrapper_tests(folders)
            && suite::run(folders, filter)
            && (!filter.is_empty() || kernels::check(&folders.kernels()))
    })
}

/// `metal-candle` itself, with these words.
fn product(words: &[String]) -> bool {
    with_wrapper(|folders| {
        let line = "run --quiet --locked --package soft-metal-product --bin metal-candle --";
        let status = folders.soft_cargo(line).args(words).status();
        status.is_ok_and(|status| status.success())
    })
}

/// The soak example of metal-candle, this many times.
fn run_soak(iterations: &str) -> bool {
    with_wrapper(|folders| {
        let line = "run --quiet --locked --package soft-metal-product --example soak -- metal";
        let status = folders.soft_cargo(line).arg(iterations).status();
        status.is_ok_and(|status| status.success())
    })
}

/// The example that tells what a launch costs the host, optimised.
fn launch_cost() -> bool {
    with_wrapper(|folders| {
        let line =
            "run --quiet --release --locked --package soft-metal-product --example launch_cost";
        let status = folders.soft_cargo(line).status();
        status.is_ok_and(|status| status.success())
    })
}

/// Cargo with these words, for another project.
fn other(words: &[String]) -> bool {
    with_wrapper(|folders| {
        let status = folders.other_cargo(words).status();
        status.is_ok_and(|status| status.success())
    })
}

/// Formatting and lints; the project's own steps do not see this workspace.
fn lint() -> bool {
    let mut format = Folders::new().cargo("fmt --all --check");
    let line = "clippy --quiet --locked --workspace --all-targets -- -D warnings";
    run_command("soft-metal: formatting", &mut format)
        && with_wrapper(|folders| run_command("soft-metal: clippy", &mut folders.soft_cargo(line)))
}

/// Does something with what is built for software Metal, if that can be built here.
fn with_wrapper(step: impl FnOnce(&Folders) -> bool) -> bool {
    if let Err(reason) = requirements() {
        eprintln!("xtask: soft-metal cannot run: {reason}");
        return false;
    }
    let folders = Folders::new();
    let line = "build --quiet --locked --package soft-metal-wrapper";
    let status = folders.wrapper_cargo(line).status();
    let built = status.is_ok_and(|status| status.success());
    if !built {
        eprintln!("xtask: soft-metal cannot run: its compiler wrapper does not build");
    }
    built && step(&folders)
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

/// The wrapper itself is compiled without a wrapper.
fn wrapper_tests(folders: &Folders) -> bool {
    let line = "test --quiet --locked --package soft-metal-wrapper";
    let mut command = folders.wrapper_cargo(line);
    run_command("soft-metal: the compiler wrapper", &mut command)
}
