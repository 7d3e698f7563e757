//! Memory of buffers: poisoned when new, with unreadable pages on both sides, so that a kernel that leaves its buffer
//! faults instead of computing with a neighbour's bytes.

use crate::gpu::lock;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// NaN in f32, f16 and bf16, and the largest value of every unsigned integer: seen in results, unlike small numbers.
const POISON: u8 = 0xFF;

const PAGE: usize = 4096;

/// Vector types need addresses that are multiples of their size, at most 16; one that is larger than the buffer cannot be
/// meant. Buffers end as near to the guard page as this permits.
fn alignment(len: usize) -> usize {
    match len {
        0..4 => 16, // candle keeps empty tensors in a byte, and makes slices of their type there
        _ => 1 << len.ilog2().min(4),
    }
}

/// Pages of one buffer.
pub struct Memory {
    map: usize,
    map_len: usize,
    data: usize,
    len: usize,
}

impl Memory {
    /// `name` is what messages about it say.
    pub fn new(len: usize, name: String) -> Self {
        let pages = len.max(1).next_multiple_of(PAGE);
        let map_len = pages + 2 * PAGE;
        // SAFETY: a private mapping at an address of the kernel's choice.
        let map = unsafe {
            let map =
                libc::mmap(std::ptr::null_mut(), map_len, libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANON, -1, 0);
            assert!(map != libc::MAP_FAILED, "no memory for a buffer of {len} bytes");
            let inside = map.add(PAGE);
            assert_eq!(libc::mprotect(inside, pages, libc::PROT_READ | libc::PROT_WRITE), 0, "mprotect");
            std::ptr::write_bytes(inside as *mut u8, POISON, pages);
            map as usize
        };
        let data = map + PAGE + pages - len.max(1).next_multiple_of(alignment(len));
        lock(&REGIONS).insert(map, Region { end: map + map_len, data, len, name });
        Self { map, map_len, data, len }
    }

    /// Valid for as long as `self`.
    pub fn pointer(&self) -> *mut u8 {
        self.data as *mut u8
    }

    pub fn pages(&self) -> usize {
        self.map_len - 2 * PAGE
    }

    /// Bytes written between the end of the buffer and its guard page.
    pub fn overrun(&self) -> bool {
        let slack = self.data + self.len..self.map + self.map_len - PAGE;
        // SAFETY: the range lies inside the mapping, and is readable.
        slack.clone().any(|p| unsafe { (p as *const u8).read_volatile() } != POISON)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        lock(&REGIONS).remove(&self.map);
        // SAFETY: mapped in `new`; nothing else holds the pages.
        unsafe { libc::munmap(self.map as *mut _, self.map_len) };
    }
}

struct Region {
    end: usize,
    data: usize,
    len: usize,
    name: String,
}

static REGIONS: Mutex<BTreeMap<usize, Region>> = Mutex::new(BTreeMap::new());

/// What an address is, for a message about a fault there.
pub fn describe(address: usize) -> String {
    let regions = lock(&REGIONS);
    match regions.range(..=address).next_back().map(|(_, r)| r).filter(|r| address < r.end) {
        Some(r) if address < r.data => format!("{} bytes before {} of {} bytes", r.data - address, r.name, r.len),
        Some(r) => format!("{} bytes past the end of {} of {} bytes", address - r.data - r.len, r.name, r.len),
        None => format!("address {address:#x}, which is in no buffer"),
    }
}
