//! Counts of what a program asks of Metal: launches, waits, memory.

use crate::gpu::{Access, lock};
use objc2::DefinedClass;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Counts since they were last taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Launches by the name of the kernel, those of MPS not among them.
    pub kernels: BTreeMap<String, Launches>,
    /// Calls of MPS by the name of its kernel, and their bytes.
    pub mps: BTreeMap<String, Launches>,
    /// Copies and fills by blits, each of which ends candle's encoder.
    pub blits: usize,
    /// Libraries that were compiled from texts, by the version of the language that was asked for.
    pub languages: BTreeMap<Option<Language>, usize>,
    /// Times that the host waited for a command buffer.
    pub waits: usize,
    /// Buffers that were made, and their bytes.
    pub buffers: usize,
    pub buffer_bytes: usize,
}

/// Major and minor version of the Metal Shading Language.
pub type Language = (usize, usize);

/// Launches of one kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Launches {
    pub dispatches: usize,
    /// Bytes of all buffers that were bound, from their offsets to their ends, each buffer once a launch: what moves if no byte
    /// moves twice. candle rounds what it makes for results up to powers of two.
    pub bytes: usize,
}

static COUNTS: Mutex<Counts> = Mutex::new(Counts {
    kernels: BTreeMap::new(),
    mps: BTreeMap::new(),
    blits: 0,
    languages: BTreeMap::new(),
    waits: 0,
    buffers: 0,
    buffer_bytes: 0,
});

/// Counts since the last call.
pub fn take_counts() -> Counts {
    std::mem::take(&mut lock(&COUNTS))
}

impl Counts {
    /// Launches of all kernels together.
    pub fn all(&self) -> Launches {
        self.of(|_| true)
    }

    /// Launches of the kernels with such names.
    pub fn of(&self, chosen: impl Fn(&str) -> bool) -> Launches {
        let chosen = self.kernels.iter().filter(|(name, _)| chosen(name));
        chosen.fold(Launches::default(), |sum, (_, kernel)| Launches {
            dispatches: sum.dispatches + kernel.dispatches,
            bytes: sum.bytes + kernel.bytes,
        })
    }
}

pub(crate) fn dispatched(kernel: &str, accesses: &[Access]) {
    count(&mut lock(&COUNTS).kernels, kernel, accesses);
}

pub(crate) fn by_mps(kernel: &str, accesses: &[Access]) {
    count(&mut lock(&COUNTS).mps, kernel, accesses);
}

fn count(launches: &mut BTreeMap<String, Launches>, kernel: &str, accesses: &[Access]) {
    let mut longest = BTreeMap::new();
    for access in accesses {
        let len = longest.entry(access.buffer.ivars().address()).or_insert(0);
        *len = access.len.max(*len);
    }
    let of_kernel = launches.entry(kernel.into()).or_default();
    of_kernel.dispatches += 1;
    of_kernel.bytes += longest.values().sum::<usize>();
}

pub(crate) fn blitted() {
    lock(&COUNTS).blits += 1;
}

pub(crate) fn compiled(language: Option<Language>) {
    *lock(&COUNTS).languages.entry(language).or_default() += 1;
}

pub(crate) fn waited() {
    lock(&COUNTS).waits += 1;
}

pub(crate) fn made_buffer(bytes: usize) {
    let mut counts = lock(&COUNTS);
    counts.buffers += 1;
    counts.buffer_bytes += bytes;
}
