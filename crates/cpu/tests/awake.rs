//! Threads that stay awake between operations. A process of their own, one test at a time: no other operation asks for any.
#![allow(clippy::unwrap_used)]

use metal_candle_cpu::threads::on_threads;
use rayon::{ThreadPoolBuilder, Yield, yield_now};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// Fresh memory that cannot be mistaken for a result.
#[global_allocator]
static POISON: metal_candle_memory::Poison = metal_candle_memory::Poison;

/// Runs `work` in a pool of so many threads, and waits until all of them have ended; says how long after its begin.
fn in_pool(threads: usize, work: impl FnOnce() + Send) -> Vec<Duration> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (tell, ended) = mpsc::channel();
    let pool = ThreadPoolBuilder::new()
        .num_threads(threads)
        .exit_handler(move |_| tell.send(Instant::now()).unwrap())
        .build()
        .unwrap();
    let began = Instant::now();
    pool.install(work);
    drop(pool);
    let end = |_| ended.recv_timeout(Duration::from_secs(60)).unwrap();
    (0..threads).map(end).map(|end| end - began).collect()
}

#[test]
fn a_thread_without_work_looks_for_some_and_stops() {
    // A pool lives until all of its jobs are done, so that no thread of it ends before the one that looks.
    for ended in in_pool(2, || on_threads(2, 2, |_| ())) {
        assert!(ended >= Duration::from_millis(1));
    }
}

#[test]
fn a_thread_inside_an_operation_does_not_look() {
    let is_done = Arc::new(AtomicBool::new(false));
    let other = Arc::clone(&is_done);
    in_pool(1, move || {
        let done_in_between = Arc::clone(&other);
        rayon::spawn(move || other.store(true, Ordering::Relaxed));
        on_threads(2, 2, |_| {
            // The newest job first: part 1, inside of which it is the one that looks for work. It would find the other one.
            assert_eq!(yield_now(), Some(Yield::Executed));
            assert!(!done_in_between.load(Ordering::Relaxed));
        });
    });
    assert!(is_done.load(Ordering::Relaxed));
}

#[test]
fn no_more_threads_are_asked_than_are_wanted() {
    in_pool(1, || {
        for _ in 0..1000 {
            on_threads(2, 2, |_| ());
        }
        let jobs = AtomicUsize::new(0);
        on_threads(2, 2, |part| {
            while part == 0 && yield_now() == Some(Yield::Executed) {
                jobs.fetch_add(1, Ordering::Relaxed);
            }
        });
        // The other part, and one thread that looks: the only thread of the pool could not take it up before.
        assert_eq!(jobs.into_inner(), 2);
    });
}
