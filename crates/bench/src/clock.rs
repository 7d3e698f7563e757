//! Repeated runs against the clock.

use candle_core::Device;
use metal_candle::device::finish;
use metal_candle_cli::error::Result;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// Fewer runs than this say nothing about their spread.
const MIN_RUNS: usize = 5;

/// Time in which candle's threads, of a pool of their own, stop to look for work, and those of rayon's wake.
const SETTLING: Duration = Duration::from_millis(2);

/// Spread of the durations of many runs.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Spread {
    /// How many runs there were.
    pub runs: usize,
    /// The shortest.
    pub min_secs: f64,
    /// A quarter took no longer.
    pub p25_secs: f64,
    /// Half took no longer.
    pub median_secs: f64,
    /// Three quarters took no longer.
    pub p75_secs: f64,
}

impl Spread {
    /// Statistics of the durations of single runs in seconds; `None` where there are none.
    pub fn of(mut secs: Vec<f64>) -> Option<Self> {
        secs.sort_by(f64::total_cmp);
        let last = secs.len().checked_sub(1)?;
        let at = |quarter: usize| secs[(last * quarter).div_ceil(4)];
        Some(Self {
            runs: secs.len(),
            min_secs: secs[0],
            p25_secs: at(1),
            median_secs: (secs[last / 2] + secs[last.div_ceil(2)]) / 2.0,
            p75_secs: at(3),
        })
    }
}

/// A single run that says how long it took without what had to be prepared.
pub type Once<'a> = Box<dyn FnMut() -> Result<Duration> + 'a>;

/// A clock that stops when a device has done its work.
#[derive(Clone, Debug)]
pub struct Clock {
    device: Device,
    runs_per_wait: usize,
}

impl Clock {
    /// Waits for `device` once in `runs_per_wait` runs, always inside of the time that is taken.
    /// A wait costs as much as a small kernel or more.
    pub fn new(device: &Device, runs_per_wait: usize) -> Self {
        Self {
            device: device.clone(),
            runs_per_wait,
        }
    }

    /// Mean duration of `work` with the end of what it gives: memory that it returns is part of
    /// its cost. The last result lives until the device is done, so that candle can use its memory
    /// again; what nobody holds at a wait, candle returns to the system.
    pub fn timed<T>(&self, mut work: impl FnMut() -> Result<T>) -> Result<Duration> {
        finish(&self.device)?;
        let began = Instant::now();
        for _ in 1..self.runs_per_wait {
            drop(work()?);
        }
        let last = work()?;
        finish(&self.device)?;
        drop(last);
        Ok(began.elapsed() / self.runs_per_wait as u32)
    }

    /// Where the work is done.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Number of runs in a row of which one duration is taken.
    pub fn runs_per_wait(&self) -> usize {
        self.runs_per_wait
    }
}

/// Seconds of single runs of each contender, who alternate until `budget` for each is spent. They
/// first run for a tenth of that without being counted. Where there are several, each turn begins
/// with runs that are not counted, for [`SETTLING`]: threads of the one before still look for work.
pub fn alternate(budget: Duration, contenders: &mut [Once<'_>]) -> Result<Vec<Vec<f64>>> {
    alternate_until(budget / 10, 1, contenders)?;
    alternate_until(budget, MIN_RUNS, contenders)
}

fn settle(contender: &mut Once<'_>) -> Result<()> {
    let began = Instant::now();
    while began.elapsed() < SETTLING {
        contender()?;
    }
    Ok(())
}

fn alternate_until(
    budget: Duration,
    min_runs: usize,
    contenders: &mut [Once<'_>],
) -> Result<Vec<Vec<f64>>> {
    let several = contenders.len() > 1;
    let mut secs = vec![vec![]; contenders.len()];
    let began = Instant::now();
    let mut runs = 0;
    while runs < min_runs || began.elapsed() < budget * contenders.len() as u32 {
        for (contender, secs) in contenders.iter_mut().zip(&mut secs) {
            if several {
                settle(contender)?;
            }
            secs.push(contender()?.as_secs_f64());
        }
        runs += 1;
    }
    Ok(secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_of_few_and_of_many() {
        let spread = |secs: &[f64]| Spread::of(secs.to_vec()).unwrap();
        assert_eq!(Spread::of(vec![]), None);
        let one = spread(&[3.0]);
        assert_eq!(
            (one.min_secs, one.median_secs, one.p75_secs),
            (3.0, 3.0, 3.0)
        );
        let five = spread(&[5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!((five.runs, five.min_secs), (5, 1.0));
        assert_eq!(
            (five.p25_secs, five.median_secs, five.p75_secs),
            (2.0, 3.0, 4.0)
        );
        assert_eq!(spread(&[1.0, 2.0]).median_secs, 1.5);
    }

    #[test]
    fn a_duration_is_that_of_one_run() {
        let mut runs = 0;
        let clock = Clock::new(&Device::Cpu, 4);
        let duration = clock.timed(|| {
            runs += 1;
            std::thread::sleep(Duration::from_millis(5));
            Ok(())
        });
        let millis = duration.unwrap().as_millis();
        assert_eq!(runs, 4);
        assert!((5..20).contains(&millis), "{millis} ms");
    }

    #[test]
    fn contenders_alternate() {
        let order = std::cell::RefCell::new(vec![]);
        let contender = |name| -> Once<'_> {
            let order = &order;
            Box::new(move || {
                order.borrow_mut().push(name);
                Ok(Duration::from_secs(name))
            })
        };
        let secs = alternate(Duration::ZERO, &mut [contender(1), contender(2)]).unwrap();
        assert_eq!(secs, [vec![1.0; MIN_RUNS], vec![2.0; MIN_RUNS]]);
        let mut order = order.into_inner();
        assert!(order.len() > 2 * (1 + MIN_RUNS), "{}", order.len());
        order.dedup();
        assert!(order == [1, 2].repeat(1 + MIN_RUNS), "{}", order.len());
    }
}
