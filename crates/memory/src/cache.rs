//! Cache of freed blocks: which are kept, and for how long.
#![allow(unsafe_code)]

use super::class::Class;
use super::pages::Pages;
use std::ptr;

/// Allocations after which an old peak begins to be forgotten: several steps of training.
const WINDOW: u32 = 16_384;

/// Blocks in use and blocks that are free.
#[derive(Debug)]
pub(super) struct Cache<P: Pages> {
    pages: P,
    free: [List; Class::COUNT],
    used_bytes: usize,
    free_bytes: usize,
    /// Most bytes in use at a time, in this window and the one before.
    peaks_bytes: [usize; 2],
    /// Allocations in this window.
    count: u32,
    /// Rises with every use of a list.
    clock: u64,
}

/// Free blocks of one class, the last freed first: it may still be in the processor's cache.
#[derive(Clone, Copy, Debug)]
struct List {
    first: *mut Free,
    /// When the list was last used.
    used: u64,
}

/// Link at the start of a free block.
struct Free {
    next: *mut Free,
}

// SAFETY: the cache alone refers to free blocks, and moves between threads whole.
unsafe impl<P: Pages + Send> Send for Cache<P> {}

/// Memory that was asked for.
pub(super) struct Allocation {
    /// Null when there is no memory.
    pub(super) start: *mut u8,
    /// Fresh from the system.
    pub(super) is_zero: bool,
}

impl<P: Pages> Cache<P> {
    pub(super) const fn new(pages: P) -> Self {
        let empty = List {
            first: ptr::null_mut(),
            used: 0,
        };
        Self {
            pages,
            free: [empty; Class::COUNT],
            used_bytes: 0,
            free_bytes: 0,
            peaks_bytes: [0; 2],
            count: 0,
            clock: 0,
        }
    }

    pub(super) fn release_all(&mut self) {
        for index in 0..Class::COUNT {
            while !self.free[index].first.is_null() {
                self.release(Class::at(index));
            }
        }
        self.peaks_bytes = [self.used_bytes; 2];
    }

    pub(super) fn take(&mut self, class: Class) -> Allocation {
        self.count_one();
        let bytes = class.bytes();
        let (start, is_zero) = match self.pop(class) {
            Some(start) => (start, false),
            None => {
                self.peaks_bytes[0] = self.peaks_bytes[0].max(self.used_bytes + bytes);
                self.shrink(bytes);
                (self.pages.map(bytes), true)
            }
        };
        if !start.is_null() {
            self.used_bytes += bytes;
            self.peaks_bytes[0] = self.peaks_bytes[0].max(self.used_bytes);
        }
        Allocation { start, is_zero }
    }

    /// # Safety
    /// `start` is a block of `class` that [`Self::take`] gave, and is not used again.
    pub(super) unsafe fn give(&mut self, start: *mut u8, class: Class) {
        self.clock += 1;
        let list = &mut self.free[class.index()];
        let block: *mut Free = start.cast();
        // SAFETY: the block is large enough, aligned to a page, and nobody else's any more.
        unsafe { block.write(Free { next: list.first }) };
        *list = List {
            first: block,
            used: self.clock,
        };
        self.used_bytes -= class.bytes();
        self.free_bytes += class.bytes();
    }

    fn pop(&mut self, class: Class) -> Option<*mut u8> {
        let list = &mut self.free[class.index()];
        let block = list.first;
        if block.is_null() {
            return None;
        }
        self.clock += 1;
        list.used = self.clock;
        // SAFETY: every block of a list was written by `give` and is not in use.
        list.first = unsafe { block.read() }.next;
        self.free_bytes -= class.bytes();
        Some(block.cast())
    }

    /// At the end of a window the peak of the one before is forgotten, and memory with it.
    fn count_one(&mut self) {
        self.count += 1;
        if self.count == WINDOW {
            self.count = 0;
            self.peaks_bytes = [self.used_bytes, self.peaks_bytes[0]];
            self.shrink(0);
        }
    }

    /// Gives free blocks back until `more` bytes fit under the limit, those of the class that was
    /// left alone longest first.
    fn shrink(&mut self, more: usize) {
        let peak = self.peaks_bytes[0].max(self.peaks_bytes[1]);
        let limit = peak.saturating_add(peak / 4);
        while self.free_bytes > 0 && self.used_bytes + self.free_bytes + more > limit {
            let lists = self.free.iter().enumerate();
            let held = lists.filter(|(_, list)| !list.first.is_null());
            let Some((oldest, _)) = held.min_by_key(|(_, list)| list.used) else {
                return;
            };
            self.release(Class::at(oldest));
        }
    }

    fn release(&mut self, class: Class) {
        let used = self.free[class.index()].used;
        if let Some(start) = self.pop(class) {
            // SAFETY: the block came from `map` with the size of its class and is in no list now.
            unsafe { self.pages.unmap(start, class.bytes()) };
        }
        self.free[class.index()].used = used;
    }
}

impl<P: Pages + Default> Default for Cache<P> {
    fn default() -> Self {
        Self::new(P::default())
    }
}

impl<P: Pages> Drop for Cache<P> {
    fn drop(&mut self) {
        self.release_all();
    }
}
