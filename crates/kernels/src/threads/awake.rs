//! Threads that stay awake between operations.
//!
//! An idle thread of rayon's sleeps after some microseconds, and waking it takes some 30
//! microseconds on a virtual machine: longer than most operations of one token. As the runtimes of
//! OpenMP do, threads look for work for a while before they sleep.

use rayon::Yield;
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long a thread looks for work: longer than what one thread does alone between two operations.
const PATIENCE: Duration = Duration::from_millis(1);

/// Looks between two looks at the clock.
const LOOKS: usize = 16;

/// Threads that are looking for work or do what they found.
static AWAKE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static IS_AWAKE: Cell<bool> = const { Cell::new(false) };
}

/// Has `count` threads other than this one stay awake, of a pool that has as many.
pub(super) fn keep(count: usize) {
    if AWAKE.load(Ordering::Relaxed) >= count {
        return;
    }
    let caller = rayon::current_thread_index();
    rayon::spawn_broadcast(move |context| {
        if Some(context.index()) != caller && !IS_AWAKE.get() {
            look_for_work();
        }
    });
}

fn look_for_work() {
    IS_AWAKE.set(true);
    AWAKE.fetch_add(1, Ordering::Relaxed);
    let mut last = Instant::now();
    while last.elapsed() < PATIENCE {
        for _ in 0..LOOKS {
            match rayon::yield_now() {
                Some(Yield::Executed) => last = Instant::now(),
                _ => std::thread::yield_now(),
            }
        }
    }
    AWAKE.fetch_sub(1, Ordering::Relaxed);
    IS_AWAKE.set(false);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_without_work_stops_looking() {
        let began = Instant::now();
        look_for_work();
        assert!(began.elapsed() >= PATIENCE && !IS_AWAKE.get());
    }

    #[test]
    fn the_other_threads_of_a_pool_stay_awake_and_this_one_goes_on() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build();
        pool.unwrap().install(|| {
            let before = Instant::now();
            while AWAKE.load(Ordering::Relaxed) < 2 {
                keep(2);
                assert!(before.elapsed() < Duration::from_secs(60), "nobody woke up");
            }
            assert!(!IS_AWAKE.get());
        });
    }
}
