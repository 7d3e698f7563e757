//! Memory that is used again: which buffer serves, and when one is given up.
//!
//! A buffer is free as soon as nothing on the host refers to it: what is encoded later is put behind all that reads or writes
//! it. Only what the host does to a buffer itself, and giving it up, has to come after the GPU's work. A buffer is [settled]
//! when it was found free, and a wait that began after that has ended.
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

/// Buffers of one kind, those that are in use among them.
#[derive(Debug)]
pub struct Stock<B> {
    sizes: BTreeMap<usize, Vec<Kept<B>>>,
    /// Waits that have begun.
    waits: u64,
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
        let mut kept = self.sizes.get_mut(&buffer_bytes(bytes))?.iter_mut();
        let kept = kept.find_map(|kept| (serves(kept) && kept.is_free()).then_some(kept))?;
        (kept.free_since, kept.settled) = (None, false);
        Some(kept.buffer.clone())
    }

    /// Keeps a new buffer, which is in use.
    pub fn add(&mut self, bytes: usize, buffer: &Arc<B>) {
        let kept = Kept {
            buffer: buffer.clone(),
            free_since: None,
            settled: false,
        };
        self.sizes
            .entry(buffer_bytes(bytes))
            .or_default()
            .push(kept);
    }

    /// Gives up settled buffers of so many bytes or more, if there are, those of the largest sizes first: a stock
    /// with free buffers does not grow.
    pub fn make_room(&mut self, bytes: usize) -> Vec<Arc<B>> {
        let (mut given_up, mut left) = (vec![], buffer_bytes(bytes));
        for (size, kept) in self.sizes.iter_mut().rev() {
            given_up.extend(kept.extract_if(.., |kept| {
                let goes = left > 0 && kept.settled && kept.is_free();
                left = left.saturating_sub(if goes { *size } else { 0 });
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
        for kept in self.sizes.values_mut() {
            kept.iter_mut().for_each(|kept| kept.look(wait, now));
            given_up.extend(kept.extract_if(.., |kept| kept.is_of_no_use(now)));
        }
        self.sizes.retain(|_, kept| !kept.is_empty());
        given_up.into_iter().map(|kept| kept.buffer).collect()
    }
}

impl<B> Kept<B> {
    /// Whether the stock alone has it: no other reference can come to be then.
    fn is_free(&mut self) -> bool {
        Arc::get_mut(&mut self.buffer).is_some()
    }

    fn look(&mut self, wait: u64, now: u64) {
        match (self.is_free(), self.free_since) {
            (false, _) => (self.free_since, self.settled) = (None, false),
            (true, None) => self.free_since = Some(now),
            (true, Some(since)) => self.settled |= wait > since,
        }
    }

    fn is_of_no_use(&self, now: u64) -> bool {
        let idle = self.free_since.map_or(0, |since| now - since);
        self.settled && idle > MOST_WAITS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(stock: &mut Stock<u32>) -> Vec<Arc<u32>> {
        let wait = stock.waiting();
        stock.waited(wait)
    }

    fn with_one(number: u32, bytes: usize) -> (Stock<u32>, Arc<u32>) {
        let (mut stock, buffer) = (Stock::default(), Arc::new(number));
        stock.add(bytes, &buffer);
        (stock, buffer)
    }

    #[test]
    fn a_buffer_is_at_most_an_eighth_longer() {
        assert_eq!([0, 256, 257].map(buffer_bytes), [256, 256, 288]);
        for bytes in (256..5000).chain([(1 << 40) - 1, 1 << 40, (1 << 40) + 1]) {
            let length = buffer_bytes(bytes);
            assert!(
                length >= bytes && length - bytes <= bytes / STEPS,
                "{bytes}"
            );
            assert_eq!(buffer_bytes(length), length);
        }
    }

    #[test]
    fn a_buffer_serves_again_once_it_is_free() {
        let (mut stock, buffer) = with_one(7, 1000);
        assert_eq!(stock.take(1000), None);
        drop(buffer);
        assert_eq!(stock.take(2000), None, "another size");
        assert_eq!(stock.take(1001).as_deref(), Some(&7));
    }

    #[test]
    fn the_host_may_write_only_what_the_gpu_is_done_with() {
        let (mut stock, buffer) = with_one(7, 1000);
        wait(&mut stock);
        drop(buffer);
        assert_eq!(stock.take_settled(1000), None);
        // This one may have begun before the buffer's last use.
        let early = stock.waiting();
        wait(&mut stock);
        stock.waited(early);
        assert_eq!(stock.take_settled(1000), None);
        wait(&mut stock);
        let buffer = stock.take_settled(1000);
        assert_eq!(buffer.as_deref(), Some(&7));
        drop(buffer);
        assert_eq!(stock.take_settled(1000), None, "it was lent since");
    }

    #[test]
    fn a_stock_with_settled_buffers_does_not_grow() {
        let (mut stock, large) = with_one(1, 4096);
        let small = Arc::new(2);
        stock.add(1024, &small);
        drop((large, small));
        wait(&mut stock);
        assert!(stock.make_room(512).is_empty(), "the GPU may be at work");
        wait(&mut stock);
        let given_up = stock.make_room(512).into_iter().map(|buffer| *buffer);
        assert_eq!(given_up.collect::<Vec<_>>(), [1]);
        assert_eq!(stock.take(1024).as_deref(), Some(&2));
    }

    #[test]
    fn what_nobody_asks_for_is_given_up() {
        let (mut stock, buffer) = with_one(7, 1000);
        for _ in 0..2 * MOST_WAITS {
            assert!(wait(&mut stock).is_empty(), "it is in use");
        }
        drop(buffer);
        let given_up = (0..=MOST_WAITS).flat_map(|_| wait(&mut stock)).count();
        assert_eq!((given_up, wait(&mut stock).len()), (0, 1));
        assert_eq!(stock.take(1000), None);
    }
}
