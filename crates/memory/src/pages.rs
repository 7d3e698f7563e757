//! Memory of the operating system.
#![allow(unsafe_code)]

/// Every block begins at a multiple of this.
pub(super) const ALIGNMENT_BYTES: usize = 4096;

/// A source of blocks whose sizes are multiples of 32 KiB, twice the largest page that is common.
pub(super) trait Pages {
    /// A block of zeros, or null.
    fn map(&self, bytes: usize) -> *mut u8;

    /// Gives a block back.
    ///
    /// # Safety
    /// `start` is a whole block of `bytes` that [`Self::map`] gave, and is not used again.
    unsafe fn unmap(&self, start: *mut u8, bytes: usize);
}

/// Anonymous memory maps; huge pages on Linux.
#[derive(Debug, Default)]
pub(super) struct Mapped;

#[cfg(all(unix, not(miri)))]
mod unix {
    use super::{Mapped, Pages};
    use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
    use std::num::NonZeroUsize;
    use std::ptr::{self, NonNull};

    /// A huge page of x86-64, and of ARM with pages of 4 KiB.
    const HUGE_BYTES: usize = 2 << 20;

    impl Pages for Mapped {
        fn map(&self, bytes: usize) -> *mut u8 {
            let start = match bytes < HUGE_BYTES {
                true => map(bytes),
                false => map_huge(bytes),
            };
            start.map_or(ptr::null_mut(), NonNull::as_ptr)
        }

        unsafe fn unmap(&self, start: *mut u8, bytes: usize) {
            // SAFETY: the caller's contract.
            unsafe { unmap(start, bytes) }
        }
    }

    fn map(bytes: usize) -> Option<NonNull<u8>> {
        let bytes = NonZeroUsize::new(bytes)?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new map at an address of the system's choice touches no other memory.
        let start = unsafe { mmap_anonymous(None, bytes, access, MapFlags::MAP_PRIVATE) };
        start.ok().map(NonNull::cast)
    }

    /// # Safety
    /// The pages are mapped by [`map`] and not used again.
    unsafe fn unmap(start: *mut u8, bytes: usize) {
        if let (Some(start), true) = (NonNull::new(start), bytes > 0) {
            // SAFETY: the caller's contract. A failure would only keep the memory.
            let _ = unsafe { munmap(start.cast(), bytes) };
        }
    }

    /// At a multiple of a huge page: maps one more and gives back both ends.
    fn map_huge(bytes: usize) -> Option<NonNull<u8>> {
        let wide = map(bytes.checked_add(HUGE_BYTES)?)?.as_ptr();
        let before = wide.align_offset(HUGE_BYTES);
        let start = wide.wrapping_add(before);
        let end = start.wrapping_add(bytes);
        // SAFETY: both ends lie in the map just made, outside of the block that is kept.
        unsafe {
            unmap(wide, before);
            unmap(end, HUGE_BYTES - before);
        }
        let start = NonNull::new(start)?;
        advise_huge(start, bytes);
        Some(start)
    }

    #[cfg(target_os = "linux")]
    fn advise_huge(start: NonNull<u8>, bytes: usize) {
        use nix::sys::mman::{MmapAdvise, madvise};
        // SAFETY: advice on pages that this module has mapped; contents stay. A system without
        // huge pages refuses it, and the block works all the same.
        let _ = unsafe { madvise(start.cast(), bytes, MmapAdvise::MADV_HUGEPAGE) };
    }

    #[cfg(not(target_os = "linux"))]
    fn advise_huge(_: NonNull<u8>, _: usize) {}
}

/// Where there are no such maps: the system allocator.
#[cfg(any(not(unix), miri))]
mod other {
    use super::{ALIGNMENT_BYTES, Mapped, Pages};
    use std::alloc::{GlobalAlloc, Layout, System};
    use std::ptr;

    impl Pages for Mapped {
        fn map(&self, bytes: usize) -> *mut u8 {
            match Layout::from_size_align(bytes, ALIGNMENT_BYTES) {
                // SAFETY: a class is never empty.
                Ok(layout) => unsafe { System.alloc_zeroed(layout) },
                Err(_) => ptr::null_mut(),
            }
        }

        unsafe fn unmap(&self, start: *mut u8, bytes: usize) {
            if let Ok(layout) = Layout::from_size_align(bytes, ALIGNMENT_BYTES) {
                // SAFETY: `map` made the block with this layout.
                unsafe { System.dealloc(start, layout) }
            }
        }
    }
}
