//! Fresh memory that cannot be mistaken for a result.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};

/// An allocator that fills fresh memory with ones: NaN in every float dtype. Memory that is asked
/// for as zeros is zero.
///
/// ```
/// #[global_allocator]
/// static POISON: metal_candle_memory::Poison = metal_candle_memory::Poison;
/// # fn main() {}
/// ```
pub struct Poison;

// SAFETY: every call is passed on to the system's allocator; only memory that it has just handed
// out, of the size that was asked for, is written. `realloc` is the default, which asks `alloc`.
unsafe impl GlobalAlloc for Poison {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let memory = unsafe { System.alloc(layout) };
        if !memory.is_null() {
            unsafe { memory.write_bytes(0xFF, layout.size()) };
        }
        memory
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { System.dealloc(memory, layout) }
    }
}
