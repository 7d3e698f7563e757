use std::alloc::Layout;

/// Blocks from this size on are kept for reuse, in bytes.
pub const LARGE_BYTES: usize = 1 << SMALLEST_LOG2;

const SMALLEST_LOG2: u32 = 18;
/// Beyond this there is no memory to be had anyway.
const LARGEST_LOG2: u32 = 46;
/// Classes between a size and its double: a block is at most an eighth larger than asked for.
const PER_DOUBLING: usize = 8;

/// A size that blocks are rounded up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Class(usize);

impl Class {
    /// Number of classes.
    pub(super) const COUNT: usize = (LARGEST_LOG2 - SMALLEST_LOG2) as usize * PER_DOUBLING;

    /// The class that serves `layout`, if one does.
    pub(super) fn of(layout: Layout) -> Option<Self> {
        let bytes = layout.size();
        if bytes < LARGE_BYTES || layout.align() > super::pages::ALIGNMENT_BYTES {
            return None;
        }
        let doubling = bytes.ilog2();
        let steps = bytes.div_ceil(step(doubling)) - PER_DOUBLING;
        let index = (doubling - SMALLEST_LOG2) as usize * PER_DOUBLING + steps;
        (index < Self::COUNT).then_some(Self(index))
    }

    /// The class of an index below [`Self::COUNT`].
    pub(super) fn at(index: usize) -> Self {
        Self(index)
    }

    pub(super) fn index(self) -> usize {
        self.0
    }

    /// Size of a block in bytes.
    pub(super) fn bytes(self) -> usize {
        let doubling = SMALLEST_LOG2 + (self.0 / PER_DOUBLING) as u32;
        (PER_DOUBLING + self.0 % PER_DOUBLING) * step(doubling)
    }
}

fn step(doubling: u32) -> usize {
    (1 << doubling) / PER_DOUBLING
}
