//! The C++ compiler: once per library, cached by content.

use super::rewrite::Unit;
use crate::gpu::lock;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, OnceLock};

/// What `#include "msl.h"` gives.
const SHIM: &[(&str, &str)] = &[
    ("msl.h", include_str!("shim/msl.h")),
    ("types.h", include_str!("shim/types.h")),
    ("launch.h", include_str!("shim/launch.h")),
    ("check.h", include_str!("shim/check.h")),
    ("stdlib.h", include_str!("shim/stdlib.h")),
    ("simdgroup.h", include_str!("shim/simdgroup.h")),
];

/// Headers that MSL includes; their content is in the shim, and comes after preprocessing.
const EMPTY: &[&str] = &[
    "metal_stdlib",
    "metal_math",
    "metal_simdgroup",
    "metal_simdgroup_matrix",
    "metal_limits",
    "metal_integer",
    "metal_atomic",
];

/// `-O1`: optimising 1,500 kernels takes longer than running them. `-fpermissive`: `constant` implies `const` in MSL, and
/// where it is not written the pointers differ. The sanitizer makes a call of every access; what is called is in the shim.
const FLAGS: &[&str] = &[
    "-std=c++17",
    "-O1",
    "-fPIC",
    "-w",
    "-fpermissive",
    "-fmax-errors=30",
    "-fno-strict-aliasing",
    "-fno-gnu-unique",
    "-fvisibility-inlines-hidden",
    "-fsanitize=kernel-address",
    "--param=asan-instrumentation-with-call-threshold=0",
    "--param=asan-globals=0",
    "--param=asan-stack=0",
];

const DEFINES: &[&str] = &["-D__METAL_VERSION__=320", "-D__METAL__=1", "-D__HAVE_BFLOAT__=1", "-DMETAL_FUNC=inline"];

fn compiler() -> Command {
    Command::new(std::env::var_os("CXX").unwrap_or_else(|| "g++".into()))
}

/// Where sources, headers and objects are: `SOFT_METAL_CACHE`, or a folder of this user's among temporary files.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        // SAFETY: getuid has no preconditions.
        let user = unsafe { libc::getuid() };
        let named = std::env::var_os("SOFT_METAL_CACHE").map(PathBuf::from);
        let folder = named.unwrap_or_else(|| std::env::temp_dir().join(format!("soft-metal-{user}")));
        let include = folder.join(format!("include-{:016x}", hash(SHIM)));
        fs::create_dir_all(&include).expect("a folder for compiled kernels");
        for (name, text) in SHIM.iter().copied().chain(EMPTY.iter().map(|name| (*name, ""))) {
            put(&include.join(name), text.as_bytes()).expect("headers for kernels");
        }
        // Without it every library compiles the headers, and tells what is wrong with them.
        let _ = precompile(&include.join("msl.h"));
        folder
    })
}

/// Compiles a header that sources begin with, unless it is there.
fn precompile(header: &Path) -> Result<(), String> {
    let compiled = header.with_extension("h.gch");
    if compiled.exists() {
        return Ok(());
    }
    let part = header.with_extension(unique("part"));
    run(compiler().args(FLAGS).args(["-x", "c++-header", "-o"]).arg(&part).arg(header))?;
    fs::rename(&part, &compiled).map_err(|e| e.to_string())
}

fn include() -> PathBuf {
    folder().join(format!("include-{:016x}", hash(SHIM)))
}

pub fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// A name that no other process and no other thread uses.
fn unique(extension: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("{}-{}.{extension}", std::process::id(), NEXT.fetch_add(1, SeqCst))
}

/// Whole or not at all.
pub fn put(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let part = path.with_extension(unique("part"));
    fs::write(&part, bytes)?;
    fs::rename(part, path)
}

/// The standard output of the compiler, or what it complains about.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|e| format!("cannot run {:?}: {e}", command.get_program()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Expands macros and conditionals.
pub fn preprocess(source: &str) -> Result<String, String> {
    let file = folder().join(unique("metal"));
    fs::write(&file, source).map_err(|e| e.to_string())?;
    let mut command = compiler();
    command
        .args(["-E", "-P", "-x", "c++", "-std=c++20", "-nostdinc"])
        .args(DEFINES)
        .arg("-I")
        .arg(include())
        .arg(&file);
    let result = run(&mut command);
    let _ = fs::remove_file(&file);
    result
}

/// Compiles to a shared object.
pub fn build(unit: &Unit) -> Result<PathBuf, String> {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = lock(&ONE);
    let name = format!("{:016x}", hash((&unit.cpp, SHIM, FLAGS)));
    let object = folder().join(format!("{name}.so"));
    if object.exists() {
        return Ok(object);
    }
    let source = folder().join(format!("{name}.cpp"));
    put(&source, unit.cpp.as_bytes()).map_err(|e| e.to_string())?;
    let part = folder().join(unique("so.part"));
    run(compiler().args(FLAGS).arg("-shared").arg("-I").arg(include()).arg("-o").arg(&part).arg(&source))?;
    fs::rename(&part, &object).map_err(|e| e.to_string())?;
    Ok(object)
}
