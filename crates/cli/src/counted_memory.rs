//! The most memory that a piece of work holds: the program's allocator counts while it is asked
//! to. What the system says of the whole process cannot tell one operation from another, because
//! freed memory stays with the process.
#![allow(unsafe_code)]

use crate::out_of_memory;
use metal_candle_memory::CachingAllocator;
use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Results of operations are large and short-lived.
static MEMORY: CachingAllocator = CachingAllocator::new();

static IS_COUNTING: AtomicBool = AtomicBool::new(false);
/// Bytes allocated since counting began, less those freed: below zero where older memory is freed.
static HELD: AtomicI64 = AtomicI64::new(0);
static PEAK: AtomicI64 = AtomicI64::new(0);

/// Runs `work` and gives the most bytes that all threads held at once beyond what they held before.
/// Others who ask wait.
pub fn peak_bytes<T>(work: impl FnOnce() -> T) -> (T, u64) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    HELD.store(0, Relaxed);
    PEAK.store(0, Relaxed);
    IS_COUNTING.store(true, Relaxed);
    let result = work();
    IS_COUNTING.store(false, Relaxed);
    (result, u64::try_from(PEAK.load(Relaxed)).unwrap_or(0))
}

/// The caching allocator, and a look at the count of bytes.
struct Counting;

fn count(bytes: i64) {
    if IS_COUNTING.load(Relaxed) {
        let held = HELD.fetch_add(bytes, Relaxed) + bytes;
        PEAK.fetch_max(held, Relaxed);
    }
}

/// Layouts are smaller than `isize::MAX`.
fn size(layout: Layout) -> i64 {
    layout.size() as i64
}

/// Where there is no memory the process ends, and says so: Rust would abort it.
fn checked(start: *mut u8, bytes: usize) -> *mut u8 {
    match start.is_null() {
        true => out_of_memory::end(bytes),
        false => start,
    }
}

// SAFETY: every call is passed on to the caching allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(size(layout));
        checked(unsafe { MEMORY.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(size(layout));
        checked(unsafe { MEMORY.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size as i64 - size(layout));
        checked(
            unsafe { MEMORY.realloc(memory, layout, new_size) },
            new_size,
        )
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-size(layout));
        unsafe { MEMORY.dealloc(memory, layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    #[test]
    fn the_most_that_is_held_at_once() {
        // Zeros that nobody looks at take no memory. Other tests allocate at the same time, but not
        // nearly this much.
        let zeros = |gib: usize| black_box(vec![0u8; gib << 30]);
        let older = zeros(1);
        let ((), peak) = peak_bytes(|| {
            drop(zeros(2));
            let held = zeros(1);
            drop(zeros(2));
            drop(held);
            drop(older);
        });
        let gib = peak as f64 / (1u64 << 30) as f64;
        assert!((2.9..3.5).contains(&gib), "{gib} GiB");
    }
}
