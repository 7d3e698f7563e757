//! The compiler.

use super::cpp::cpp;
use super::from_here;
use std::io::Write;
use std::process::{Command, Stdio};

/// It has `__bf16` to compute with from this version on.
const OLDEST: u32 = 17;
const NEWEST: u32 = 22;

/// Its `metal_stdlib` declares what kernels use.
const INCLUDE: &str = "src/msl_check/include";

/// No C++ of the system. Every warning is an error, but for attributes, which `cpp` looks at, and for what is declared for
/// kernels that a text does not have.
const FLAGS: &[&str] = &[
    "-x",
    "c++",
    "-std=c++17",
    "-fsyntax-only",
    "-nostdinc",
    "-fno-caret-diagnostics",
    "-Werror",
    "-Wall",
    "-Wextra",
    "-Wimplicit-float-conversion",
    "-Wno-implicit-int-float-conversion",
    "-Wfloat-conversion",
    "-Wno-unknown-attributes",
    "-Wno-unused-parameter",
    "-Wno-unused-variable",
    "-Wno-unused-const-variable",
];

pub struct Clang {
    program: String,
}

impl Clang {
    /// The one that `CLANG` names, or the first that is new enough.
    pub fn find() -> Result<Self, String> {
        if let Ok(program) = std::env::var("CLANG") {
            return match version(&program) {
                Some(version) if version >= OLDEST => Ok(Self { program }),
                _ => Err(format!(
                    "CLANG names {program}, which is no clang {OLDEST} or later"
                )),
            };
        }
        let numbered = (OLDEST..=NEWEST).rev().map(|n| format!("clang-{n}"));
        let mut names = ["clang".into()].into_iter().chain(numbered);
        let new_enough = |name: &String| version(name).is_some_and(|version| version >= OLDEST);
        let found = names.find(new_enough);
        let found = found.map(|program| Self { program });
        found.ok_or(format!(
            "no clang {OLDEST} or later: install clang-19, or name one in CLANG"
        ))
    }

    /// What the compiler says against a text of MSL; nothing where it takes it.
    pub fn refusal(&self, msl: &str) -> Option<String> {
        let compiled = cpp(msl).and_then(|text| self.compile(&text));
        compiled.err()
    }

    fn compile(&self, text: &str) -> Result<(), String> {
        let mut command = Command::new(&self.program);
        command
            .args(FLAGS)
            .arg("-I")
            .arg(from_here(INCLUDE))
            .arg("-");
        let command = command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let cannot = |error| format!("cannot run {}: {error}", self.program);
        let mut child = command.spawn().map_err(cannot)?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(text.as_bytes()).map_err(cannot)?;
        }
        let output = child.wait_with_output().map_err(cannot)?;
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }
}

/// The first number of what `--version` prints, as `clang version 19.1.7`.
fn version(program: &str) -> Option<u32> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, version) = text.split_once("clang version ")?;
    version.split('.').next()?.parse().ok()
}
