//! Threads that stay awake between operations.
//!
//! An idle thread of rayon's sleeps after some microseconds, and waking it takes some 30
//! microseconds on a virtual machine: longer than most operations of one token. As the runtimes of
//! OpenMP do, threads look for work for a while before they sleep.

use rayon::Yield;
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Time for which a thread looks for work: longer than what one thread does alone between two operations.
const PATIENCE: Duration = Duration::from_millis(1);

/// After this a thread goes back to what rayon had it do, in case somebody waits for that.
const TERM: Duration = Duration::from_millis(20);

/// Looks between two looks at the clock.
const LOOKS: usize = 16;

/// Threads of all pools that look for work, and those that are asked to.
static LOOKERS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// This thread began an operation that is not done, or looks for work already.
    static IS_BUSY: Cell<bool> = const { Cell::new(false) };
}

/// Has `count` other threads look for work, while this one does `work`.
pub(super) fn beside<R>(count: usize, work: impl FnOnce() -> R) -> R {
    let missing = count.saturating_sub(LOOKERS.load(Ordering::Relaxed));
    for _ in 0..missing {
        LOOKERS.fetch_add(1, Ordering::Relaxed);
        rayon::spawn(|| {
            look_for_work();
            LOOKERS.fetch_sub(1, Ordering::Relaxed);
        });
    }
    let _busy = Busy::new();
    work()
}

/// Works for others while it waits. Not where rayon has such a thread take the job up: it would wait longer.
fn look_for_work() {
    if IS_BUSY.get() {
        return;
    }
    let _busy = Busy::new();
    let began = Instant::now();
    let mut last = began;
    while last.elapsed() < PATIENCE && began.elapsed() < TERM {
        for _ in 0..LOOKS {
            match rayon::yield_now() {
                Some(Yield::Executed) => last = Instant::now(),
                _ => std::thread::yield_now(),
            }
        }
    }
}

/// Mark of this thread as busy for as long as it lives.
struct Busy {
    before: bool,
}

impl Busy {
    fn new() -> Self {
        Self {
            before: IS_BUSY.replace(true),
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        IS_BUSY.set(self.before);
    }
}
