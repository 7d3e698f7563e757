//! Memory of buffers: poisoned when new, with unreadable pages on both sides, so that a kernel that leaves its buffer
//! faults instead of computing with a neighbour's bytes.

use crate::gpu::lock;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// NaN in f32, f16 and bf16, and the largest value of every unsigned integer: seen in results, unlike small numbers.
const POISON: u8 = 0xFF;

const PAGE: usize = 4096;

/// Vector types need addresses that are multiples of their size. Buffers end as near to the guard page as this permits; what
/// is left between is checked before every access of a kernel (`msl/shim/check.h`).
const ALIGNMENT: usize = 16;

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
        let mut memory = Self { map, map_len, data: 0, len: 0 };
        memory.place(len, name);
        memory
    }

    /// `len` bytes at the end of the pages.
    fn place(&mut self, len: usize, name: String) {
        let end = self.map + self.map_len;
        (self.data, self.len) = (end - PAGE - len.max(1).next_multiple_of(ALIGNMENT), len);
        lock(&REGIONS).insert(self.map, Region { end, data: self.data, len, name });
    }

    /// Valid for as long as `self`.
    pub fn pointer(&self) -> *mut u8 {
        self.data as *mut u8
    }

    /// Just past the last byte.
    pub fn end(&self) -> usize {
        self.data + self.len
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

/// Bytes that a command is given, at most a page of them; the pages are used again and again.
pub struct Argument(Option<Memory>);

static SPARE: Mutex<Vec<Memory>> = Mutex::new(Vec::new());

impl Argument {
    pub fn new(bytes: &[u8], name: String) -> Self {
        let spare = lock(&SPARE).pop();
        let mut memory = spare.unwrap_or_else(|| Memory::new(PAGE, String::new()));
        // SAFETY: the pages are this value's, and the bytes fit into them.
        unsafe {
            std::ptr::write_bytes((memory.map + PAGE) as *mut u8, POISON, memory.pages());
            memory.place(bytes.len(), name);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), memory.pointer(), bytes.len());
        }
        Self(Some(memory))
    }

    pub fn memory(&self) -> &Memory {
        self.0.as_ref().expect("memory until it is dropped")
    }
}

impl Drop for Argument {
    fn drop(&mut self) {
        lock(&SPARE).extend(self.0.take());
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
