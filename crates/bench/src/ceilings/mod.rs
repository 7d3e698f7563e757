//! Ceilings of the machine, measured in the run that refers to it.

mod gpu;

pub use gpu::of_gpu;

use crate::clock::{Clock, Once, Spread, alternate};
use candle_core::Device;
use metal_candle_cli::error::{Error, Result};
use metal_candle_kernels::case::Cost;
use metal_candle_kernels::ceiling;
use serde::{Deserialize, Serialize};
use std::hint::black_box;
use std::time::Duration;

/// float32 numbers of each thread: far more than caches hold where threads share one.
const NUMBERS: usize = 128 << 20;

/// Rounds of the loop over registers: some milliseconds.
const ROUNDS: usize = 1 << 20;

/// The best rates of a number of threads, or of a GPU.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Ceiling {
    /// Threads at work; `None` of a GPU.
    pub threads: Option<usize>,
    /// Bytes read by a sum over large memory; not measured of a GPU.
    pub read_bytes_per_sec: Option<f64>,
    /// Bytes read and written by a large copy, on a GPU by candle's.
    pub copy_bytes_per_sec: f64,
    /// Multiplications and additions in registers; on a GPU of a large product in f32, the better
    /// of candle's and ours.
    pub flops_per_sec: f64,
    /// What it takes to give a GPU next to nothing to do and to wait for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_secs: Option<f64>,
}

impl Ceiling {
    /// Ceilings of one thread and of `threads`.
    pub fn measure_all(threads: usize, budget: Duration) -> Result<Vec<Self>> {
        let mut counts = vec![1, threads];
        counts.dedup();
        counts.iter().map(|&n| Self::measure(n, budget)).collect()
    }

    fn measure(threads: usize, budget: Duration) -> Result<Self> {
        let clock = Clock::new(&Device::Cpu, 1);
        let mut memory = vec![Memory::default(); threads];
        memory.iter_mut().for_each(Memory::fill);
        let mut rate = |amount_of_each: f64, work: fn(&mut Memory)| {
            let once: Once<'_> = Box::new(|| {
                clock.timed(|| {
                    on_all_threads(&mut memory, work);
                    Ok(())
                })
            });
            let secs = alternate(budget, &mut [once])?.remove(0);
            let best = Spread::of(secs).map_or(f64::INFINITY, |spread| spread.min_secs);
            Ok::<_, Error>(threads as f64 * amount_of_each / best)
        };
        let bytes = (NUMBERS * size_of::<f32>()) as f64;
        Ok(Self {
            threads: Some(threads),
            read_bytes_per_sec: Some(rate(bytes, Memory::read)?),
            copy_bytes_per_sec: rate(bytes, Memory::copy)?,
            flops_per_sec: rate(ceiling::multiply_add(ROUNDS).flops as f64, |_| {
                black_box(ceiling::multiply_add(black_box(ROUNDS)));
            })?,
            wait_secs: None,
        })
    }

    /// The least time that `cost` can take: by memory or by arithmetic, whichever is longer.
    pub fn limit_secs(&self, cost: Cost) -> f64 {
        let read = self.read_bytes_per_sec.unwrap_or_default();
        self.limit_at(read.max(self.copy_bytes_per_sec), cost)
    }

    /// Limit of work that writes next to nothing, such as a token, for which every weight is read.
    pub fn reading_limit_secs(&self, cost: Cost) -> f64 {
        let read = self.read_bytes_per_sec;
        self.limit_at(read.unwrap_or(self.copy_bytes_per_sec), cost)
    }

    fn limit_at(&self, bytes_per_sec: f64, cost: Cost) -> f64 {
        let by_memory = cost.bytes as f64 / bytes_per_sec;
        by_memory.max(cost.flops as f64 / self.flops_per_sec)
    }

    /// Whether memory is the limit of `cost`.
    pub fn is_bound_by_memory(&self, cost: Cost) -> bool {
        self.limit_secs(cost) > cost.flops as f64 / self.flops_per_sec
    }
}

/// Memory that one thread works on.
#[derive(Clone, Default)]
struct Memory {
    from: Vec<f32>,
    /// Half as large, so that reading and writing are as many bytes as reading alone.
    to: Vec<f32>,
}

impl Memory {
    fn fill(&mut self) {
        self.from = vec![1.0; NUMBERS];
        self.to = vec![2.0; NUMBERS / 2];
    }

    fn read(&mut self) {
        black_box(ceiling::read(&self.from));
    }

    fn copy(&mut self) {
        self.to.copy_from_slice(&self.from[..NUMBERS / 2]);
        black_box(&self.to);
    }
}

/// One thread for each part: starting them costs microseconds, the work milliseconds.
fn on_all_threads<T: Send>(parts: &mut [T], work: fn(&mut T)) {
    std::thread::scope(|scope| {
        for part in parts {
            scope.spawn(|| work(part));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cost_is_bound_by_the_slower_of_memory_and_arithmetic() {
        let ceiling = Ceiling {
            threads: Some(1),
            read_bytes_per_sec: Some(10.0),
            copy_bytes_per_sec: 8.0,
            flops_per_sec: 100.0,
            wait_secs: None,
        };
        let cost = |flops, bytes| Cost { flops, bytes };
        let copies = Ceiling {
            copy_bytes_per_sec: 16.0,
            ..ceiling
        };
        assert_eq!(copies.limit_secs(cost(100, 80)), 5.0);
        assert_eq!(copies.reading_limit_secs(cost(100, 80)), 8.0);
        assert_eq!(ceiling.limit_secs(cost(1000, 20)), 10.0);
        assert!(!ceiling.is_bound_by_memory(cost(1000, 20)));
        assert_eq!(ceiling.limit_secs(cost(100, 20)), 2.0);
        assert!(ceiling.is_bound_by_memory(cost(100, 20)));
    }
}
