//! A global allocator that keeps large blocks for reuse.
//!
//! candle allocates every result anew. A system allocator gives large blocks back to the system
//! at once, and every reuse of that memory is a page fault for each 4 KiB, and a pass that clears
//! it. [`CachingAllocator`] keeps blocks from [`LARGE_BYTES`] on and asks Linux for huge pages.
//!
//! ```
//! #[global_allocator]
//! static MEMORY: metal_candle_memory::CachingAllocator =
//!     metal_candle_memory::CachingAllocator::new();
//! ```
#![allow(unsafe_code)]

mod cache;
mod class;
mod pages;
mod poison;
#[cfg(test)]
mod tests;

use cache::Cache;
use class::Class;
use pages::{Mapped, Pages};
use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use class::LARGE_BYTES;
pub use poison::Poison;

/// An allocator that keeps freed blocks of [`LARGE_BYTES`] and more; smaller ones are the system allocator's.
///
/// What is in use and what is kept together stay within 5/4 of the most that was in use at a time
/// during the last few thousand allocations of large blocks; what is over is given back.
#[derive(Debug, Default)]
pub struct CachingAllocator {
    large: Large<Mapped>,
}

impl CachingAllocator {
    /// An allocator that holds nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            large: Large::new(Mapped),
        }
    }

    /// Gives all blocks that are free back, and forgets how much was in use at a time.
    pub fn release(&self) {
        self.large.lock().release_all();
    }
}

/// Bytes that a block of `layout` takes: large ones are rounded up, so that they can be used again.
#[must_use]
pub fn block_bytes(layout: Layout) -> usize {
    Class::of(layout).map_or(layout.size(), Class::bytes)
}

/// Blocks of a size class, from the cache or from `P`.
#[derive(Debug, Default)]
struct Large<P: Pages> {
    cache: Mutex<Cache<P>>,
}

impl<P: Pages> Large<P> {
    const fn new(pages: P) -> Self {
        Self {
            cache: Mutex::new(Cache::new(pages)),
        }
    }

    /// Nothing inside the lock can leave the cache half changed.
    fn lock(&self) -> MutexGuard<'_, Cache<P>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alloc(&self, class: Class) -> *mut u8 {
        self.lock().take(class).start
    }

    fn alloc_zeroed(&self, class: Class, bytes: usize) -> *mut u8 {
        let block = self.lock().take(class);
        if !block.start.is_null() && !block.is_zero {
            // SAFETY: the block is this caller's alone, and its class holds at least `bytes`.
            unsafe { block.start.write_bytes(0, bytes) };
        }
        block.start
    }

    /// # Safety
    /// `start` is a block of `class` that this allocator gave, and is not used again.
    unsafe fn dealloc(&self, start: *mut u8, class: Class) {
        // SAFETY: the caller's contract.
        unsafe { self.lock().give(start, class) }
    }
}

// SAFETY: a layout alone decides who serves it, so that a block goes back to where it came from.
// Blocks of a class are at least as large as the layout and aligned to a page at least.
unsafe impl GlobalAlloc for CachingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match Class::of(layout) {
            Some(class) => self.large.alloc(class),
            // SAFETY: the caller's contract is the same.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match Class::of(layout) {
            Some(class) => self.large.alloc_zeroed(class, layout.size()),
            // SAFETY: the caller's contract is the same.
            None => unsafe { System.alloc_zeroed(layout) },
        }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        match Class::of(layout) {
            // SAFETY: a block of this layout came from the cache, and the caller lets go of it.
            Some(class) => unsafe { self.large.dealloc(start, class) },
            // SAFETY: a block of this layout came from the system allocator.
            None => unsafe { System.dealloc(start, layout) },
        }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: the caller promises that `bytes` is a valid size for this alignment.
        let new = unsafe { Layout::from_size_align_unchecked(bytes, layout.align()) };
        match (Class::of(layout), Class::of(new)) {
            // SAFETY: both layouts are the system allocator's.
            (None, None) => unsafe { System.realloc(start, layout, bytes) },
            (old, new) if old == new => start,
            // SAFETY: the caller's contract.
            _ => unsafe { self.moved(start, layout, new) },
        }
    }
}

impl CachingAllocator {
    /// # Safety
    /// As for [`GlobalAlloc::realloc`].
    unsafe fn moved(&self, start: *mut u8, old: Layout, new: Layout) -> *mut u8 {
        // SAFETY: `new` is not empty, as the caller of `realloc` promises.
        let moved = unsafe { self.alloc(new) };
        if !moved.is_null() {
            // SAFETY: both blocks hold that many bytes, and a new block overlaps no other; the
            // old one is not used again.
            unsafe {
                ptr::copy_nonoverlapping(start, moved, old.size().min(new.size()));
                self.dealloc(start, old);
            }
        }
        moved
    }
}
