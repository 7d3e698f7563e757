//! The tests on software Metal: one at a time in a process, since counts of objects and recorded violations are the
//! process's, and several processes at a time.

use super::candle;
use super::folders::Folders;
use serde_json::Value;
use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

/// All packages with tests: a choice of some has other features, and compiles candle again.
pub const PACKAGES: &str = "--package soft-metal --package soft-metal-suite --package soft-metal-mps \
                            --package soft-metal-product --package soft-metal-candle";

/// Tests of a process: so few that the last process of all does not run long alone.
const TESTS: usize = 2;

/// A program of tests.
struct Program {
    path: PathBuf,
    /// The package, in which its tests look for files.
    folder: PathBuf,
}

/// Some tests of a program.
struct Part<'a> {
    program: &'a Program,
    tests: Vec<String>,
}

/// Runs every test whose name has `filter` in it; of candle-core's own, those with `metal` too.
pub fn run(folders: &Folders, filter: &str) -> bool {
    eprintln!(
        "xtask: soft-metal: runtime, rules, MPS, kernels, metal-candle and candle-core's tests"
    );
    let began = Instant::now();
    let passed = run_all(folders, filter);
    let word = if passed { "done in" } else { "failed after" };
    eprintln!("xtask: {word} {} s", began.elapsed().as_secs());
    passed
}

fn run_all(folders: &Folders, filter: &str) -> bool {
    let Some(programs) = build(folders) else {
        return false;
    };
    work_through(folders, &programs, filter) && known_failures_fail(folders, &programs, filter)
}

/// Runs the tests of operations whose names have `filter` in them, and builds everything else.
pub fn operations(folders: &Folders, filter: &str) -> bool {
    let programs = build(folders).unwrap_or_default();
    let is_theirs = |program: &Program| {
        let name = program.path.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with("operations-")
    };
    let theirs: Vec<Program> = programs.into_iter().filter(is_theirs).collect();
    !theirs.is_empty() && work_through(folders, &theirs, filter)
}

fn work_through(folders: &Folders, programs: &[Program], filter: &str) -> bool {
    let mut parts = vec![];
    for program in programs {
        match tests(folders, program, filter) {
            Some(tests) => parts.extend(parted(program, &tests)),
            None => return false,
        }
    }
    work(folders, parts)
}

/// The programs, compiled.
fn build(folders: &Folders) -> Option<Vec<Program>> {
    let line = "test --locked --no-run --message-format=json-render-diagnostics";
    let mut command = folders.soft_cargo(&format!("{line} {PACKAGES}"));
    let built = command.stderr(std::process::Stdio::inherit()).output();
    let built = built.ok().filter(|built| built.status.success())?;
    let messages = String::from_utf8_lossy(&built.stdout).into_owned();
    let mut programs: Vec<Program> = messages.lines().filter_map(program).collect();
    // The programs of most code run longest, and others go on beside them.
    let size = |program: &Program| program.path.metadata().map_or(0, |found| found.len());
    programs.sort_by_key(|program| Reverse(size(program)));
    (!programs.is_empty()).then_some(programs)
}

/// The program that a message of cargo's tells of.
fn program(message: &str) -> Option<Program> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_test = message.pointer("/profile/test")?.as_bool()?;
    let manifest = Path::new(message.get("manifest_path")?.as_str()?);
    is_test.then_some(Program {
        path: message.get("executable")?.as_str()?.into(),
        folder: manifest.parent()?.to_path_buf(),
    })
}

fn is_candle(program: &Program) -> bool {
    program.folder.ends_with("candle")
}

/// Names of the tests that are to be run; `None` where the program cannot tell.
fn tests(folders: &Folders, program: &Program, filter: &str) -> Option<Vec<String>> {
    let mut tests = names(folders, program, filter)?;
    tests.retain(|name| !is_candle(program) || candle::is_run(name));
    Some(tests)
}

/// Names of a program's tests that have `filter` in them; `None` where it cannot tell.
fn names(folders: &Folders, program: &Program, filter: &str) -> Option<Vec<String>> {
    let listed = folders
        .program(&program.path, &program.folder)
        .args(["--list", "--format", "terse", filter])
        .output();
    let listed = listed.ok().filter(|listed| listed.status.success())?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let names = listed
        .lines()
        .filter_map(|line| line.strip_suffix(": test"));
    Some(names.map(str::to_owned).collect())
}

fn parted<'a>(program: &'a Program, tests: &[String]) -> Vec<Part<'a>> {
    let part = |tests: &[String]| Part {
        program,
        tests: tests.to_vec(),
    };
    tests.chunks(TESTS).map(part).collect()
}

/// Runs the parts, one for each core at a time.
fn work(folders: &Folders, parts: Vec<Part<'_>>) -> bool {
    let queue = Mutex::new(parts.into_iter());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let worker = || {
        let mut passed = true;
        while let Some(part) = next() {
            passed &= passes(folders, &part);
        }
        passed
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        let ended = workers.into_iter().map(|worker| worker.join());
        ended.fold(true, |passed, ended| passed & ended.unwrap_or(false))
    })
}

/// Runs a part; its output is told when it has ended, so that no two are mixed.
fn passes(folders: &Folders, part: &Part<'_>) -> bool {
    let ended = output(folders, part);
    match ended {
        Ok(output) => {
            eprint!("{}", String::from_utf8_lossy(&output.stdout));
            eprint!("{}", String::from_utf8_lossy(&output.stderr));
            if !output.status.success() {
                let path = part.program.path.display();
                eprintln!("xtask: {path}: {}: {:?}", output.status, part.tests);
            }
            output.status.success()
        }
        Err(error) => {
            eprintln!("xtask: cannot run {}: {error}", part.program.path.display());
            false
        }
    }
}

fn output(folders: &Folders, part: &Part<'_>) -> std::io::Result<Output> {
    folders
        .program(&part.program.path, &part.program.folder)
        .args(["--test-threads=1", "--exact"])
        .args(&part.tests)
        .output()
}

/// Whether candle's known failures are still some.
fn known_failures_fail(folders: &Folders, programs: &[Program], filter: &str) -> bool {
    candle::known_failures(filter).all(|known| {
        let candles = programs.iter().filter(|program| is_candle(program));
        let mut ends = candles.filter_map(|program| passes_alone(folders, program, known.test));
        let passed = ends.next() != Some(false);
        known.tell(passed);
        !passed
    })
}

/// Whether a test passes; `None` where it is none of the program's.
fn passes_alone(folders: &Folders, program: &Program, test: &str) -> Option<bool> {
    let listed = names(folders, program, test)?;
    let is_there = listed.iter().any(|name| name == test);
    let part = Part {
        program,
        tests: vec![test.into()],
    };
    is_there.then(|| output(folders, &part).is_ok_and(|output| output.status.success()))
}
