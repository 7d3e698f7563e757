//! Ceilings of the machine, measured in the run that refers to it.

mod cpu;
mod gpu;
mod sizes;

pub use cpu::of_cpu;
pub use gpu::of_gpu;

use metal_candle_kernels::case::Cost;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The best rates of a number of threads, or of a GPU.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Ceiling {
    /// Threads at work; `None` of a GPU.
    pub threads: Option<usize>,
    /// Bytes read by a sum over large memory; not measured of a GPU.
    pub read_bytes_per_sec: Option<f64>,
    /// Bytes read and written by a large copy, on a GPU by candle's.
    pub copy_bytes_per_sec: f64,
    /// Bytes that were read again and again for these two rates; not told by old records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Rates of the processor's caches, the nearest first; none of a GPU, and in old records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caches: Vec<CacheCeiling>,
    /// Multiplications and additions in registers; on a GPU of a large product in f32, the better
    /// of candle's and ours.
    pub flops_per_sec: f64,
    /// What it takes to give a GPU next to nothing to do and to wait for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_secs: Option<f64>,
}

/// The best rates over what a level of caches holds.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct CacheCeiling {
    /// Level of the caches.
    pub level: u32,
    /// Bytes that the caches of all threads hold together.
    pub bytes: u64,
    /// Bytes read by a sum.
    pub read_bytes_per_sec: f64,
    /// Bytes read and written by a copy.
    pub copy_bytes_per_sec: f64,
}

/// The least time that work can take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// The time.
    pub secs: f64,
    /// What the machine needs it for.
    pub bound: Bound,
}

/// The part of the machine that a limit is of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bound {
    /// Multiplications and additions in registers.
    Arithmetic,
    /// Caches of this level.
    Cache(u32),
    /// Memory behind all caches.
    Memory,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arithmetic => f.write_str("arithmetic"),
            Self::Cache(level) => write!(f, "L{level}"),
            Self::Memory => f.write_str("memory"),
        }
    }
}

impl Ceiling {
    /// Limit of `cost`: of moving its bytes at the level of memory that holds them all, or of its
    /// arithmetic, whichever is longer. Work that is run again finds its bytes there.
    pub fn limit(&self, cost: Cost) -> Limit {
        let read = self.read_bytes_per_sec.unwrap_or_default();
        self.longer_of(cost, read.max(self.copy_bytes_per_sec), |cache| {
            cache.read_bytes_per_sec.max(cache.copy_bytes_per_sec)
        })
    }

    /// Limit of work that writes next to nothing, such as a token, for which every weight is read.
    pub fn reading_limit(&self, cost: Cost) -> Limit {
        let read = self.read_bytes_per_sec;
        let memory = read.unwrap_or(self.copy_bytes_per_sec);
        self.longer_of(cost, memory, |cache| cache.read_bytes_per_sec)
    }

    fn longer_of(
        &self,
        cost: Cost,
        memory_rate: f64,
        cache_rate: impl Fn(&CacheCeiling) -> f64,
    ) -> Limit {
        let cache = self.caches.iter().find(|cache| cache.bytes >= cost.bytes);
        let (bound, rate) = cache.map_or((Bound::Memory, memory_rate), |cache| {
            (Bound::Cache(cache.level), cache_rate(cache))
        });
        let arithmetic = cost.flops as f64 / self.flops_per_sec;
        match cost.bytes as f64 / rate {
            secs if secs > arithmetic => Limit { secs, bound },
            _ => Limit {
                secs: arithmetic,
                bound: Bound::Arithmetic,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ceiling() -> Ceiling {
        let cache = |level, bytes, rate| CacheCeiling {
            level,
            bytes,
            read_bytes_per_sec: rate,
            copy_bytes_per_sec: rate / 2.0,
        };
        Ceiling {
            threads: Some(1),
            read_bytes_per_sec: Some(10.0),
            copy_bytes_per_sec: 8.0,
            memory_bytes: Some(8000),
            caches: vec![cache(2, 10, 40.0), cache(3, 100, 20.0)],
            flops_per_sec: 100.0,
            wait_secs: None,
        }
    }

    #[test]
    fn a_cost_is_bound_by_the_slower_of_memory_and_arithmetic() {
        let cost = |flops, bytes| Cost { flops, bytes };
        let limit = |secs, bound| Limit { secs, bound };
        let of = |flops, bytes| ceiling().limit(cost(flops, bytes));
        assert_eq!(of(100, 800), limit(80.0, Bound::Memory));
        assert_eq!(of(1000, 200), limit(20.0, Bound::Memory));
        assert_eq!(of(10_000, 200), limit(100.0, Bound::Arithmetic));
        let copies = Ceiling {
            copy_bytes_per_sec: 16.0,
            ..ceiling()
        };
        assert_eq!(copies.limit(cost(100, 800)).secs, 50.0);
        assert_eq!(copies.reading_limit(cost(100, 800)).secs, 80.0);
    }

    /// A limit of memory for what a cache holds is none: it is passed by as much as the cache is faster.
    #[test]
    fn a_cost_that_a_cache_holds_is_bound_by_it() {
        let bound = |bytes| {
            let limit = ceiling().limit(Cost { flops: 1, bytes });
            (limit.bound, limit.secs)
        };
        assert_eq!(bound(10), (Bound::Cache(2), 0.25));
        assert_eq!(bound(11), (Bound::Cache(3), 0.55));
        assert_eq!(bound(100), (Bound::Cache(3), 5.0));
        assert_eq!(bound(101), (Bound::Memory, 10.1));
        let names = [Bound::Cache(3), Bound::Memory].map(|bound| bound.to_string());
        assert_eq!(names, ["L3", "memory"]);
    }

    #[test]
    fn an_old_record_is_of_memory_alone() {
        let text = r#"{"threads":2,"read_bytes_per_sec":1.0,"copy_bytes_per_sec":2.0,"flops_per_sec":3.0}"#;
        let ceiling: Ceiling = serde_json::from_str(text).unwrap();
        let cost = Cost { flops: 0, bytes: 4 };
        assert_eq!(ceiling.limit(cost).bound, Bound::Memory);
    }
}
