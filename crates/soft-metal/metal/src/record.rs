//! Which kernels there are, which have run, and whose results were compared: one line each, in the file that
//! `SOFT_METAL_RECORD` names, so that what several test programs did can be held against each other.

use crate::gpu::lock;
use std::collections::BTreeSet;
use std::fmt::{Display, Formatter, Result};
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::Mutex;

/// What is known of a kernel, by its name for the host.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// A library has it.
    Offered,
    /// It was encoded.
    Dispatched,
    /// A test has held its results against numbers from elsewhere.
    Compared,
}

impl Display for Mark {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Mark::Offered => "offered",
            Mark::Dispatched => "dispatched",
            Mark::Compared => "compared",
        })
    }
}

/// Dispatched since the last call of [`take_dispatched`].
static DISPATCHED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
static WRITTEN: Mutex<BTreeSet<(Mark, String)>> = Mutex::new(BTreeSet::new());

pub fn dispatched(kernel: &str) {
    let mut names = lock(&DISPATCHED);
    if !names.contains(kernel) {
        names.insert(kernel.into());
        mark(Mark::Dispatched, [kernel]);
    }
}

/// Names of the kernels that were dispatched since the last call.
pub fn take_dispatched() -> BTreeSet<String> {
    std::mem::take(&mut lock(&DISPATCHED))
}

/// Writes a line for each kernel that this process has not written yet.
pub fn mark<K: AsRef<str>>(mark: Mark, kernels: impl IntoIterator<Item = K>) {
    let Some(path) = std::env::var_os("SOFT_METAL_RECORD") else { return };
    let mut written = lock(&WRITTEN);
    let new = kernels.into_iter().filter(|k| written.insert((mark, k.as_ref().into())));
    let lines: String = new.map(|kernel| format!("{mark} {}\n", kernel.as_ref())).collect();
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(lines.as_bytes())).expect("SOFT_METAL_RECORD can be written");
}
