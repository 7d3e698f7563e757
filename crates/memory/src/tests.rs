use super::CachingAllocator;
use super::cache::Cache;
use super::class::{Class, LARGE_BYTES};
use super::pages::{Mapped, Pages};
use proptest::prelude::*;
use std::alloc::{GlobalAlloc, Layout};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Miri takes a second for what takes a microsecond otherwise.
const CASES: u32 = if cfg!(miri) { 4 } else { 64 };
/// Sizes on both sides of the smallest large block, and beyond a huge page.
const MOST_BYTES: usize = if cfg!(miri) {
    3 * LARGE_BYTES
} else {
    20 * LARGE_BYTES
};

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, 64).unwrap()
}

#[derive(Clone, Debug)]
enum Action {
    Alloc { bytes: usize, zeroed: bool },
    Realloc { which: usize, bytes: usize },
    Free { which: usize },
}

fn action() -> impl Strategy<Value = Action> {
    let bytes = || LARGE_BYTES / 2..MOST_BYTES;
    prop_oneof![
        3 => (bytes(), any::<bool>()).prop_map(|(bytes, zeroed)| Action::Alloc { bytes, zeroed }),
        1 => (any::<usize>(), bytes()).prop_map(|(which, bytes)| Action::Realloc { which, bytes }),
        2 => any::<usize>().prop_map(|which| Action::Free { which }),
    ]
}

/// A block that is filled with one byte, so far as it is looked at.
struct Filled {
    start: *mut u8,
    bytes: usize,
    with: u8,
}

/// A few places of every page would do; Miri counts each.
fn places(bytes: usize) -> impl Iterator<Item = usize> {
    (0..bytes).step_by(1021).chain([bytes - 1])
}

impl Filled {
    fn new(allocator: &CachingAllocator, bytes: usize, zeroed: bool, with: u8) -> Self {
        let layout = layout(bytes);
        let start = match zeroed {
            true => unsafe { allocator.alloc_zeroed(layout) },
            false => unsafe { allocator.alloc(layout) },
        };
        assert!(!start.is_null());
        assert_eq!(start.align_offset(layout.align()), 0);
        if zeroed {
            places(bytes).for_each(|i| assert_eq!(unsafe { *start.add(i) }, 0, "at {i}"));
        }
        let filled = Self { start, bytes, with };
        filled.fill();
        filled
    }

    fn fill(&self) {
        places(self.bytes).for_each(|i| unsafe { *self.start.add(i) = self.with });
    }

    fn check(&self, bytes: usize) {
        for i in places(self.bytes).filter(|&i| i < bytes) {
            assert_eq!(unsafe { *self.start.add(i) }, self.with, "at {i}");
        }
    }

    fn resize(&mut self, allocator: &CachingAllocator, bytes: usize) {
        self.check(self.bytes);
        self.start = unsafe { allocator.realloc(self.start, layout(self.bytes), bytes) };
        assert!(!self.start.is_null());
        self.check(bytes);
        self.bytes = bytes;
        self.fill();
    }

    fn free(self, allocator: &CachingAllocator) {
        self.check(self.bytes);
        unsafe { allocator.dealloc(self.start, layout(self.bytes)) };
    }
}

fn perform(allocator: &CachingAllocator, actions: &[Action], with: u8) {
    let mut blocks: Vec<Filled> = vec![];
    for action in actions {
        let n = blocks.len().max(1);
        match *action {
            Action::Alloc { bytes, zeroed } => {
                blocks.push(Filled::new(allocator, bytes, zeroed, with));
            }
            Action::Realloc { which, bytes } => {
                if let Some(block) = blocks.get_mut(which % n) {
                    block.resize(allocator, bytes);
                }
            }
            Action::Free { which } if !blocks.is_empty() => {
                blocks.swap_remove(which % n).free(allocator);
            }
            Action::Free { .. } => {}
        }
    }
    blocks.into_iter().for_each(|block| block.free(allocator));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn blocks_of_several_threads_keep_their_contents(
        threads in prop::collection::vec(prop::collection::vec(action(), 1..40), 1..4)
    ) {
        let allocator = CachingAllocator::new();
        std::thread::scope(|scope| {
            for (with, actions) in (1..).zip(&threads) {
                let allocator = &allocator;
                scope.spawn(move || perform(allocator, actions, with));
            }
        });
    }

    #[test]
    fn a_class_is_at_most_an_eighth_larger(bytes in LARGE_BYTES..1 << 40) {
        let class = Class::of(layout(bytes)).unwrap();
        prop_assert!(class.bytes() >= bytes);
        prop_assert!(class.bytes() <= bytes + bytes / 8);
        prop_assert_eq!(Class::of(layout(class.bytes())), Some(class));
        prop_assert_eq!(class.bytes() % (32 << 10), 0);
    }
}

#[test]
fn small_and_oddly_aligned_blocks_are_the_system_s() {
    assert_eq!(Class::of(layout(LARGE_BYTES - 1)), None);
    let aligned = Layout::from_size_align(LARGE_BYTES, 2 << 20).unwrap();
    assert_eq!(Class::of(aligned), None);
}

/// Pages that count the bytes they have handed out.
#[derive(Default)]
struct Counted(Arc<AtomicUsize>);

impl Pages for Counted {
    fn map(&self, bytes: usize) -> *mut u8 {
        self.0.fetch_add(bytes, Ordering::Relaxed);
        Mapped.map(bytes)
    }

    unsafe fn unmap(&self, start: *mut u8, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
        unsafe { Mapped.unmap(start, bytes) }
    }
}

fn class(bytes: usize) -> Class {
    Class::of(layout(bytes)).unwrap()
}

#[test]
fn what_is_kept_stays_within_a_quarter_of_the_peak_and_is_given_back() {
    let mapped = Arc::new(AtomicUsize::new(0));
    let mut cache = Cache::new(Counted(mapped.clone()));
    let sizes = [4, 5, 6, 7, 8].map(|n| class(n * LARGE_BYTES));
    for _ in 0..3 {
        for class in sizes {
            let block = cache.take(class);
            unsafe { cache.give(block.start, class) };
            assert!(mapped.load(Ordering::Relaxed) <= 10 * LARGE_BYTES);
        }
    }
    assert!(mapped.load(Ordering::Relaxed) >= 8 * LARGE_BYTES);
    drop(cache);
    assert_eq!(mapped.load(Ordering::Relaxed), 0);
}

#[test]
fn what_is_released_is_given_back_with_its_peak() {
    let mapped = Arc::new(AtomicUsize::new(0));
    let mut cache = Cache::new(Counted(mapped.clone()));
    let (used, free) = (class(LARGE_BYTES), class(40 * LARGE_BYTES));
    let blocks = [used, free].map(|class| cache.take(class));
    unsafe { cache.give(blocks[1].start, free) };
    cache.release_all();
    assert_eq!(mapped.load(Ordering::Relaxed), used.bytes());
    for n in [4, 5, 6, 7] {
        let class = class(n * LARGE_BYTES);
        let block = cache.take(class);
        unsafe { cache.give(block.start, class) };
        assert!(mapped.load(Ordering::Relaxed) <= 10 * LARGE_BYTES);
    }
    unsafe { cache.give(blocks[0].start, used) };
}

#[test]
#[cfg_attr(miri, ignore = "takes minutes")]
fn an_old_peak_is_forgotten() {
    let mapped = Arc::new(AtomicUsize::new(0));
    let mut cache = Cache::new(Counted(mapped.clone()));
    let (large, small) = (class(100 * LARGE_BYTES), class(LARGE_BYTES));
    let block = cache.take(large);
    unsafe { cache.give(block.start, large) };
    assert_eq!(mapped.load(Ordering::Relaxed), large.bytes());
    for _ in 0..40_000 {
        let block = cache.take(small);
        unsafe { cache.give(block.start, small) };
    }
    assert_eq!(mapped.load(Ordering::Relaxed), small.bytes());
}

#[test]
fn a_block_is_used_again() {
    let allocator = CachingAllocator::new();
    let layout = layout(LARGE_BYTES);
    let first = unsafe { allocator.alloc(layout) };
    unsafe { allocator.dealloc(first, layout) };
    let [second, third] = [(); 2].map(|()| unsafe { allocator.alloc(layout) });
    assert_eq!(first, second);
    assert_ne!(first, third);
    let _ = [second, third].map(|block| unsafe { allocator.dealloc(block, layout) });
}
