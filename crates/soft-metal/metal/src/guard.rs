//! The end of a test: everything has run, no rule was broken, nothing is left.

use crate::record::{self, Mark, take_dispatched};
use crate::{Rule, drain, forget_failure, live, live_blocks, take_violations, take_warnings};
use std::ffi::c_void;

unsafe extern "C-unwind" {
    fn objc_autoreleasePoolPush() -> *mut c_void;
    fn objc_autoreleasePoolPop(pool: *mut c_void);
}

/// Classes whose instances live as long as the process.
const ETERNAL: &[&str] = &["SoftDevice"];

/// Made at the start of a test; when it goes out of scope it drains the queues and panics if a rule was broken, or if
/// objects or blocks are left that were not there at the start.
///
/// ```ignore
/// #[cfg(soft_metal)]
/// let _guard = soft_metal::Guard::new();
/// ```
///
/// It must be declared before everything it watches. State is the process's: tests that use it run one at a time.
///
/// It holds an autorelease pool, as a Mac's test would have to: what is autoreleased in the test is gone at its end.
pub struct Guard {
    objects: Vec<(String, isize)>,
    blocks: isize,
    compares: bool,
    pool: *mut c_void,
}

impl Guard {
    /// Forgets what earlier tests did wrong, and counts what is there.
    pub fn new() -> Self {
        drain();
        take_violations();
        take_warnings();
        take_dispatched();
        forget_failure();
        // SAFETY: popped by `drop`, on this thread: a raw pointer keeps the guard on it.
        let pool = unsafe { objc_autoreleasePoolPush() };
        Self { objects: objects(), blocks: live_blocks(), compares: false, pool }
    }

    /// For a test that holds the results of every kernel that it dispatches against numbers from elsewhere: at its end
    /// these kernels count as compared, which `SOFT_METAL_RECORD` is told.
    pub fn comparing() -> Self {
        let mut guard = Self::new();
        guard.compares = true;
        guard
    }

    /// What went wrong so far; the queues are drained first.
    pub fn problems(&self) -> Vec<String> {
        drain();
        let mut found: Vec<String> = take_violations().iter().map(|v| v.message.clone()).collect();
        for (class, n) in objects() {
            let before = self.objects.iter().find(|(c, _)| *c == class).map_or(0, |(_, n)| *n);
            if n > before {
                found.push(leaked(&format!("{class}: {} more than at the start", n - before)));
            }
        }
        let blocks = live_blocks() - self.blocks;
        if blocks > 0 {
            found.push(leaked(&format!("blocks: {blocks} more than at the start")));
        }
        found
    }
}

impl Default for Guard {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drain();
        // SAFETY: pushed by `new`.
        unsafe { objc_autoreleasePoolPop(self.pool) };
        if std::thread::panicking() {
            return; // the first panic is the one to read
        }
        let problems = self.problems();
        assert!(problems.is_empty(), "{}", problems.join("\n"));
        if self.compares {
            record::mark(Mark::Compared, take_dispatched());
        }
    }
}

fn objects() -> Vec<(String, isize)> {
    live().into_iter().filter(|(class, _)| !ETERNAL.contains(&class.as_str())).collect()
}

fn leaked(what: &str) -> String {
    format!("Metal rule broken ({}): {what}", Rule::Leak.text())
}
