//! Operations inside of the tasks of another one.

use std::cell::Cell;

thread_local! {
    /// Threads for the operations of this one, where it works on a task; 0 where it does not.
    static SHARE: Cell<usize> = const { Cell::new(0) };
}

/// Threads for an operation of this thread: all, or the share of the task that calls it.
pub fn current_threads() -> usize {
    match SHARE.get() {
        0 => rayon::current_num_threads(),
        share => share,
    }
}

/// Gives operations of this thread so many threads while `work` runs.
pub(super) fn with_threads<R>(share: usize, work: impl FnOnce() -> R) -> R {
    let _before = Before(SHARE.replace(share));
    work()
}

/// Return to the share of before, also when a task panics.
struct Before(usize);

impl Drop for Before {
    fn drop(&mut self) {
        SHARE.set(self.0);
    }
}
