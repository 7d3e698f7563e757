//! Sizes of the memory that rates are measured over.

use metal_candle_cli::caches::Cache;

/// Memory for the rates of memory at least, in bytes.
const LEAST: u64 = 1 << 30;

/// How many times the last cache that memory is: what is left in the cache from the round before is then
/// little of it.
const OF_LAST_CACHE: u64 = 8;

/// Bytes that memory is read over by `threads` together. Half of it is written as well, and both together are at
/// most half of what the machine has left.
pub fn memory_bytes(caches: &[Cache], threads: usize, available: Option<u64>) -> u64 {
    let last = caches.iter().map(|cache| capacity(cache, threads)).max();
    let wanted = LEAST.max(OF_LAST_CACHE * last.unwrap_or(0));
    available.map_or(wanted, |available| wanted.min(available / 3))
}

/// Bytes that all caches of a level hold that `threads` on a core each have.
pub fn capacity(cache: &Cache, threads: usize) -> u64 {
    cache.bytes * threads.div_ceil(cache.threads.max(1)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_far_more_than_the_last_cache_and_far_less_than_all() {
        let cache = |bytes, threads| Cache {
            level: 3,
            bytes,
            threads,
        };
        let small = [cache(2 << 20, 1), cache(32 << 20, 8)];
        assert_eq!(memory_bytes(&small, 2, None), 1 << 30);
        assert_eq!(memory_bytes(&small, 64, None), 8 * (256 << 20));
        let large = [cache(300 << 20, 2)];
        assert_eq!(memory_bytes(&large, 2, Some(64 << 30)), 2400 << 20);
        assert_eq!(memory_bytes(&large, 2, Some(6 << 30)), 2 << 30);
        assert_eq!(memory_bytes(&[], 2, Some(300)), 100);
    }

    #[test]
    fn private_caches_add_up() {
        let private = Cache {
            level: 2,
            bytes: 100,
            threads: 2,
        };
        assert_eq!(
            [1, 2, 3, 4].map(|n| capacity(&private, n)),
            [100, 100, 200, 200]
        );
    }
}
