//! Parts of one operation, on the threads of rayon's pool.

use super::awake;
use super::nested::{current_threads, with_threads};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Calls `f` with every number below `count`, on at most so many threads, this one among them.
///
/// A thread takes the next number when it is done with one, so that no number waits for a thread that
/// is late. Operations that `f` calls share the threads.
pub fn on_threads(threads: usize, count: usize, f: impl Fn(usize) + Sync) {
    let others = threads.min(count).saturating_sub(1);
    if others == 0 {
        return (0..count).for_each(f);
    }
    let share = current_threads().div_ceil(others + 1);
    let parts = Parts {
        count,
        next: AtomicUsize::new(0),
        done: AtomicUsize::new(0),
    };
    awake::beside(others, || {
        rayon::in_place_scope(|scope| {
            for _ in 0..others {
                scope.spawn(|_| with_threads(share, || parts.work(&f)));
            }
            with_threads(share, || parts.work(&f));
            parts.wait();
        });
    });
}

struct Parts {
    count: usize,
    next: AtomicUsize,
    done: AtomicUsize,
}

impl Parts {
    fn work(&self, f: impl Fn(usize)) {
        loop {
            let i = self.next.fetch_add(1, Ordering::Relaxed);
            if i >= self.count {
                return;
            }
            let _done = Done(&self.done);
            f(i);
        }
    }

    /// Without sleep: the other threads have as much to do as this one had, and waking it would take
    /// longer than many an operation.
    fn wait(&self) {
        while self.done.load(Ordering::Acquire) < self.count {
            std::thread::yield_now();
        }
    }
}

/// Count of a part as done, also when it panics.
struct Done<'a>(&'a AtomicUsize);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}
