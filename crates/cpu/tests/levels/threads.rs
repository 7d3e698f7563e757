//! Parts of an operation, and operations inside of them.

use metal_candle_cpu::threads::{current_threads, on_threads};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn every_part_is_computed_once() {
    for (threads, count) in [(0, 3), (1, 2), (2, 0), (2, 1), (2, 7), (7, 2), (20, 100)] {
        let calls: Vec<_> = (0..count).map(|_| AtomicUsize::new(0)).collect();
        on_threads(threads, count, |i| {
            calls[i].fetch_add(1, Ordering::Relaxed);
        });
        assert!(calls.iter().all(|n| n.load(Ordering::Relaxed) == 1));
    }
}

#[test]
fn parts_have_parts() {
    let calls = AtomicUsize::new(0);
    on_threads(5, 5, |_| {
        on_threads(2, 7, |_| {
            calls.fetch_add(1, Ordering::Relaxed);
        });
    });
    assert_eq!(calls.into_inner(), 35);
}

#[test]
fn a_panic_of_one_part_reaches_the_caller() {
    for bad in 0..4 {
        let run = || on_threads(4, 4, |i| assert_ne!(i, bad, "a bad part"));
        assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
    }
}

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
