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

#[cfg(test)]
mod tests {
    use super::super::on_threads;
    use super::*;

    #[test]
    fn tasks_share_the_threads() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(5).build();
        pool.unwrap().install(|| {
            for (threads, share) in [(1, 5), (2, 3), (4, 2), (5, 1), (9, 1)] {
                on_threads(threads, 9, |_| assert_eq!(current_threads(), share));
            }
            on_threads(2, 2, |_| {
                on_threads(2, 2, |_| assert_eq!(current_threads(), 2));
                assert_eq!(current_threads(), 3);
            });
            assert_eq!(current_threads(), 5);
        });
    }
}
