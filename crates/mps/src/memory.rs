//! Memory that is used again: which buffer serves, and when one is given up.
//!
//! A buffer is free as soon as nothing on the host refers to it: what is encoded later is put behind all that reads or writes
//! it. Only what the host does to a buffer itself, and giving it up, has to come after the GPU's work. A buffer is [settled]
//! when it was found free, and a wait that began after that has ended.
//!
//! Nobody tells when a buffer becomes free. Those that were lent last are asked first: temporaries are among them, and what
//! backward lets go of. All others are asked together, once those that were found free so have been lent again.
//!
//! [settled]: Stock::waited

use std::collections::BTreeMap;
use std::sync::Arc;

/// Steps from one power of two to the next: a buffer is up to an eighth longer than what was asked for.
const STEPS: usize = 8;

/// Bytes of the smallest buffer.
const LEAST_BYTES: usize = 256;

/// Waits after which a buffer that nobody asked for is given up.
const MOST_WAITS: u64 = 64;

/// Buffers that were lent last and are asked one by one.
const RECENT: usize = 4;

/// Buffers of one kind, those that are in use among them.
#[derive(Debug)]
pub struct Stock<B> {
    sizes: BTreeMap<usize, Size<B>>,
    /// Waits that have begun.
    waits: u64,
}

/// Buffers of one size.
#[derive(Debug)]
struct Size<B> {
    /// Buffers that were in use when somebody looked, the one that was lent last at the end.
    lent: Vec<Kept<B>>,
    /// Buffers that the stock alone has, the one that was free for longest first, which so is given up some day.
    free: Vec<Kept<B>>,
}

#[derive(Debug)]
struct Kept<B> {
    buffer: Arc<B>,
    /// Waits that had begun when it was found free.
    free_since: Option<u64>,
    settled: bool,
}

impl<B> Default for Stock<B> {
    fn default() -> Self {
        Self {
            sizes: BTreeMap::new(),
            waits: 0,
        }
    }
}

/// Length of the buffer that serves so many bytes.
#[must_use]
pub fn buffer_bytes(bytes: usize) -> usize {
    let bytes = bytes.max(LEAST_BYTES);
    let step = (1 << bytes.ilog2()) / STEPS;
    bytes.next_multiple_of(step)
}

impl<B> Stock<B> {
    /// A free buffer of [`buffer_bytes`], to be written by the GPU.
    pub fn take(&mut self, bytes: usize) -> Option<Arc<B>> {
        self.find(bytes, |_| true)
    }

    /// A settled buffer of [`buffer_bytes`], to be written by the host.
    pub fn take_settled(&mut self, bytes: usize) -> Option<Arc<B>> {
        self.find(bytes, |kept| kept.settled)
    }

    fn find(&mut self, bytes: usize, serves: impl Fn(&Kept<B>) -> bool) -> Option<Arc<B>> {
        self.sizes.get_mut(&buffer_bytes(bytes))?.lend(serves)
    }

    /// Keeps a new buffer, which is in use.
    pub fn add(&mut self, bytes: usize, buffer: &Arc<B>) {
        let size = self.sizes.entry(buffer_bytes(bytes)).or_default();
        size.lent.push(Kept::in_use(buffer.clone()));
    }

    /// Gives up settled buffers of so many bytes or more, if there are, those of the largest sizes first: a stock
    /// with free buffers does not grow.
    pub fn make_room(&mut self, bytes: usize) -> Vec<Arc<B>> {
        let (mut given_up, mut left) = (vec![], buffer_bytes(bytes));
        for (bytes, size) in self.sizes.iter_mut().rev() {
            given_up.extend(size.free.extract_if(.., |kept| {
                let goes = left > 0 && kept.settled;
                left = left.saturating_sub(if goes { *bytes } else { 0 });
                goes
            }));
        }
        given_up.into_iter().map(|kept| kept.buffer).collect()
    }

    /// Number of a wait that is about to begin.
    pub fn waiting(&mut self) -> u64 {
        self.waits += 1;
        self.waits
    }

    /// The wait of this number has ended: buffers that were found free before it began are settled. Gives those up that
    /// were of no use for long.
    pub fn waited(&mut self, wait: u64) -> Vec<Arc<B>> {
        let (now, mut given_up) = (self.waits, vec![]);
        for size in self.sizes.values_mut() {
            size.look();
            size.free.iter_mut().for_each(|kept| kept.rest(wait, now));
            given_up.extend(size.free.extract_if(.., |kept| kept.is_of_no_use(now)));
        }
        self.sizes.retain(|_, size| !size.is_empty());
        given_up.into_iter().map(|kept| kept.buffer).collect()
    }
}

impl<B> Default for Size<B> {
    fn default() -> Self {
        let (lent, free) = (vec![], vec![]);
        Self { lent, free }
    }
}

impl<B> Size<B> {
    fn lend(&mut self, serves: impl Fn(&Kept<B>) -> bool) -> Option<Arc<B>> {
        let kept = self.recent(&serves).or_else(|| self.known(&serves));
        let kept = kept.or_else(|| {
            self.look();
            self.known(&serves)
        })?;
        self.lent.push(Kept::in_use(kept.buffer.clone()));
        Some(kept.buffer)
    }

    /// One of those that were lent last, if it is free again.
    fn recent(&mut self, serves: impl Fn(&Kept<B>) -> bool) -> Option<Kept<B>> {
        let first = self.lent.len().saturating_sub(RECENT);
        let mut recent = self.lent[first..].iter_mut();
        let place = recent.rposition(|kept| serves(kept) && kept.is_free())?;
        Some(self.lent.remove(first + place))
    }

    /// One of those that are known to be free.
    fn known(&mut self, serves: impl Fn(&Kept<B>) -> bool) -> Option<Kept<B>> {
        let place = self.free.iter().rposition(serves)?;
        Some(self.free.remove(place))
    }

    /// Finds all that are free again.
    fn look(&mut self) {
        self.free.extend(self.lent.extract_if(.., Kept::is_free));
    }

    fn is_empty(&self) -> bool {
        self.lent.is_empty() && self.free.is_empty()
    }
}

impl<B> Kept<B> {
    fn in_use(buffer: Arc<B>) -> Self {
        Self {
            buffer,
            free_since: None,
            settled: false,
        }
    }

    /// Whether the stock alone has it: no other reference can come to be then.
    fn is_free(&mut self) -> bool {
        Arc::get_mut(&mut self.buffer).is_some()
    }

    /// A wait of this number has ended, and it is free.
    fn rest(&mut self, wait: u64, now: u64) {
        let since = *self.free_since.get_or_insert(now);
        self.settled |= wait > since;
    }

    fn is_of_no_use(&self, now: u64) -> bool {
        let idle = self.free_since.map_or(0, |since| now - since);
        self.settled && idle > MOST_WAITS
    }
}

#[cfg(test)]
mod tests;
