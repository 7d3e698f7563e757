//! The most memory that a piece of work holds: the program's allocator counts while it is asked
//! to. What the system says of the whole process cannot tell one operation from another, because
//! freed memory stays with the process.
#![allow(unsafe_code)]

use crate::out_of_memory;
use metal_candle::train::memory::Meter;
use metal_candle_memory::{CachingAllocator, block_bytes};
use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Results of operations are large and short-lived.
static MEMORY: CachingAllocator = CachingAllocator::new();

static IS_COUNTING: AtomicBool = AtomicBool::new(false);
/// Bytes allocated since counting began, less those freed: below zero where older memory is freed.
static HELD: AtomicI64 = AtomicI64::new(0);
static PEAK: AtomicI64 = AtomicI64::new(0);

/// Count of the bytes that all threads hold beyond what they held when it began. Others who count wait until it is dropped.
pub struct Count {
    _turn: MutexGuard<'static, ()>,
}

impl Count {
    /// Begins to count.
    pub fn begin() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        HELD.store(0, Relaxed);
        PEAK.store(0, Relaxed);
        IS_COUNTING.store(true, Relaxed);
        Self { _turn: turn }
    }
}

impl Meter for Count {
    fn held(&self) -> i64 {
        HELD.load(Relaxed)
    }

    fn take_peak(&self) -> i64 {
        PEAK.swap(HELD.load(Relaxed), Relaxed)
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        IS_COUNTING.store(false, Relaxed);
    }
}

/// Runs `work` and gives the most bytes that all threads held at once beyond what they held before.
pub fn peak_bytes<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let count = Count::begin();
    let result = work();
    (result, u64::try_from(count.take_peak()).unwrap_or(0))
}

/// Gives back what is kept for reuse.
pub fn release() {
    MEMORY.release();
}

/// The caching allocator, and a look at the count of bytes.
struct Counting;

fn count(bytes: i64) {
    if IS_COUNTING.load(Relaxed) {
        let held = HELD.fetch_add(bytes, Relaxed) + bytes;
        PEAK.fetch_max(held, Relaxed);
    }
}

/// Bytes of a block, which are fewer than `isize::MAX`.
fn size(layout: Layout) -> i64 {
    block_bytes(layout) as i64
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
        // SAFETY: the caller promises that the size is a valid one for this alignment.
        let new = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        count(size(new) - size(layout));
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
