//! Ceilings of the processor and its memory.

use super::sizes::{capacity, memory_bytes};
use super::{CacheCeiling, Ceiling};
use crate::clock::{Clock, Once, Spread, alternate};
use candle_core::Device;
use metal_candle_cli::caches::{Cache, caches};
use metal_candle_cli::error::{Error, Result};
use metal_candle_cli::machine;
use metal_candle_kernels::ceiling;
use std::hint::black_box;
use std::time::Duration;

/// Rounds of the loop over registers: some milliseconds.
const ROUNDS: usize = 1 << 20;

/// Bytes that a thread reads in a run at least, so that a run takes milliseconds.
const BYTES_OF_RUN: usize = 64 << 20;

/// Ceilings of one thread and of `threads`.
///
/// # Errors
/// Those of the clock.
pub fn of_cpu(threads: usize, budget: Duration) -> Result<Vec<Ceiling>> {
    let mut counts = vec![1, threads];
    counts.dedup();
    counts.iter().map(|&n| of_threads(n, budget)).collect()
}

fn of_threads(threads: usize, budget: Duration) -> Result<Ceiling> {
    let caches = caches();
    let bytes = memory_bytes(&caches, threads, machine::memory_bytes());
    let mut memory = Work::new(threads, bytes);
    // The first level is the registers' own: no operation has so little to do.
    let further = caches.iter().filter(|cache| cache.level > 1);
    Ok(Ceiling {
        threads: Some(threads),
        read_bytes_per_sec: Some(memory.rate(budget, Memory::read)?),
        copy_bytes_per_sec: memory.rate(budget, Memory::copy)?,
        memory_bytes: Some(bytes),
        caches: further
            .map(|cache| of_cache(cache, threads, budget))
            .collect::<Result<_>>()?,
        flops_per_sec: flops_per_sec(threads, budget)?,
        wait_secs: None,
    })
}

/// Rates over half of a cache, which holds other things, too.
fn of_cache(cache: &Cache, threads: usize, budget: Duration) -> Result<CacheCeiling> {
    let bytes = capacity(cache, threads);
    let mut work = Work::new(threads, bytes / 2);
    Ok(CacheCeiling {
        level: cache.level,
        bytes,
        read_bytes_per_sec: work.rate(budget, Memory::read)?,
        copy_bytes_per_sec: work.rate(budget, Memory::copy)?,
    })
}

fn flops_per_sec(threads: usize, budget: Duration) -> Result<f64> {
    let mut idle = vec![(); threads];
    let secs = least_secs(&mut idle, budget, |()| {
        black_box(ceiling::multiply_add(black_box(ROUNDS)));
    })?;
    Ok((threads as u64 * ceiling::multiply_add(ROUNDS).flops) as f64 / secs)
}

/// Memory of all threads, and how often each goes over its own in a run.
struct Work {
    of_thread: Vec<Memory>,
}

impl Work {
    /// `bytes` to be read, in equal parts.
    fn new(threads: usize, bytes: u64) -> Self {
        let numbers = (bytes as usize / threads / size_of::<f32>()).max(2);
        Self {
            of_thread: (0..threads).map(|_| Memory::new(numbers)).collect(),
        }
    }

    /// Bytes a second of all threads together.
    fn rate(&mut self, budget: Duration, pass: fn(&mut Memory)) -> Result<f64> {
        let own = self.of_thread.iter().map(Memory::bytes_of_run);
        let bytes: usize = own.sum();
        let run = |memory: &mut Memory| (0..memory.passes).for_each(|_| pass(memory));
        Ok(bytes as f64 / least_secs(&mut self.of_thread, budget, run)?)
    }
}

/// Memory that one thread works on.
struct Memory {
    from: Vec<f32>,
    /// Half as large, so that reading and writing are as many bytes as reading alone.
    to: Vec<f32>,
    passes: usize,
}

impl Memory {
    fn new(numbers: usize) -> Self {
        Self {
            from: vec![1.0; numbers],
            to: vec![2.0; numbers / 2],
            passes: BYTES_OF_RUN.div_ceil(numbers * size_of::<f32>()),
        }
    }

    fn bytes_of_run(&self) -> usize {
        self.passes * self.from.len() * size_of::<f32>()
    }

    fn read(&mut self) {
        black_box(ceiling::read(black_box(&self.from)));
    }

    fn copy(&mut self) {
        let half = self.to.len();
        self.to.copy_from_slice(&self.from[..half]);
        black_box(&self.to);
    }
}

/// The shortest of several runs of `work`, on a thread for each part.
fn least_secs<T: Send>(
    parts: &mut [T],
    budget: Duration,
    work: impl Fn(&mut T) + Sync,
) -> Result<f64> {
    let clock = Clock::new(&Device::Cpu, 1);
    let once: Once<'_> = Box::new(|| {
        clock.timed(|| {
            on_all_threads(parts, &work);
            Ok::<_, Error>(())
        })
    });
    let secs = alternate(budget, &mut [once])?.remove(0);
    Ok(Spread::of(secs).map_or(f64::INFINITY, |spread| spread.min_secs))
}

/// One thread for each part: starting them costs microseconds, the work milliseconds.
fn on_all_threads<T: Send>(parts: &mut [T], work: &(impl Fn(&mut T) + Sync)) {
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
    fn every_thread_reads_its_part_as_often_as_a_run_takes() {
        let work = Work::new(2, 3 << 20);
        let sizes: Vec<_> = work
            .of_thread
            .iter()
            .map(|m| (m.from.len(), m.to.len()))
            .collect();
        assert_eq!(sizes, [(393_216, 196_608); 2]);
        assert_eq!(work.of_thread[0].passes, 43);
        assert_eq!(work.of_thread[0].bytes_of_run(), 43 * 393_216 * 4);
        assert_eq!(Memory::new(1 << 26).passes, 1);
    }

    #[test]
    fn rates_are_of_all_threads() {
        let rate = Work::new(2, 1 << 20)
            .rate(Duration::ZERO, Memory::read)
            .unwrap();
        // Between a floppy disk and what registers could take.
        assert!((1e6..1e13).contains(&rate), "{rate}");
    }
}
