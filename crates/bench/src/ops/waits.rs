//! Runs between two waits for a device: on a GPU so many that the wait is small beside them.

use super::operation::{InputTensors, Operation, once};
use crate::clock::Clock;
use crate::record::Pass;
use candle_core::Device;
use metal_candle_cli::error::Result;

/// Share of the time that a wait may have.
const MOST_SHARE: f64 = 0.02;

/// Runs between two waits at most: candle keeps every command buffer until somebody waits.
pub const MOST_RUNS: usize = 256;

/// Runs of a trial, so many that the launch of one is behind the arithmetic of another.
const TRIAL_RUNS: usize = 8;

/// Trials, of which the shortest counts: the first allocates.
const TRIALS: usize = 3;

/// Rule by which the number of runs between two waits is found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Waits {
    /// A number, whatever runs.
    After(usize),
    /// The number that the time of a run asks for beside that of a wait, in seconds.
    ByTime(f64),
}

impl Waits {
    /// A clock for a right operation: its forward pass, the shortest, is tried where time decides.
    ///
    /// # Errors
    /// Those of the operation.
    pub fn clock(
        self,
        operation: &Operation,
        inputs: &InputTensors,
        device: &Device,
    ) -> Result<Clock> {
        let runs = match self {
            Self::After(runs) => runs,
            Self::ByTime(wait_secs) => {
                runs_beside(wait_secs, trial_secs(operation, inputs, device)?)
            }
        };
        Ok(Clock::new(device, runs))
    }
}

/// Mean seconds of [`TRIAL_RUNS`] and a wait.
fn trial_secs(operation: &Operation, inputs: &InputTensors, device: &Device) -> Result<f64> {
    let clock = Clock::new(device, TRIAL_RUNS);
    let mut trial = once(&operation.run, Pass::Forward, inputs, &clock);
    let mut shortest = f64::INFINITY;
    for _ in 0..TRIALS {
        shortest = trial()?.as_secs_f64().min(shortest);
    }
    Ok(shortest)
}

/// The fewest runs beside which a wait is [`MOST_SHARE`] of the time; a run takes what a trial's mean is without its wait.
fn runs_beside(wait_secs: f64, trial_secs: f64) -> usize {
    let run_secs = trial_secs - wait_secs / TRIAL_RUNS as f64;
    let runs = wait_secs * (1.0 / MOST_SHARE - 1.0) / run_secs;
    match run_secs > 0.0 {
        // What is a whole number, but for rounding, is not rounded up.
        true => ((runs - 1e-6).ceil() as usize).clamp(1, MOST_RUNS),
        false => MOST_RUNS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean of a trial whose runs take `run_secs` each.
    fn runs(wait_secs: f64, run_secs: f64) -> usize {
        runs_beside(wait_secs, run_secs + wait_secs / TRIAL_RUNS as f64)
    }

    #[test]
    fn a_wait_has_a_fiftieth_of_the_time() {
        assert_eq!(runs(2e-4, 4.9e-3), 2);
        assert_eq!(runs(2e-4, 4.8e-3), 3);
        assert_eq!(runs(2e-4, 9.8e-5), 100);
        for run_secs in [5e-5, 3e-4, 7e-3] {
            let n = runs(2e-4, run_secs);
            let share = |n: usize| 2e-4 / (2e-4 + n as f64 * run_secs);
            assert!(
                share(n) <= 0.0201 && share(n - 1) > 0.02,
                "{n} of {run_secs}"
            );
        }
    }

    #[test]
    fn runs_are_bounded() {
        assert_eq!(runs(2e-4, 1.0), 1);
        assert_eq!(runs(0.0, 1e-6), 1);
        assert_eq!(runs(2e-4, 1e-6), MOST_RUNS);
        // Shorter than its share of the wait, as noise can make it, and no time at all.
        assert_eq!(runs_beside(2e-4, 2e-5), MOST_RUNS);
        assert_eq!(runs_beside(0.0, 0.0), MOST_RUNS);
    }

    #[test]
    fn what_is_told_is_what_is_run() {
        let operation = super::super::tests::softmax_of_few_rows();
        let inputs = operation.tensors(&Device::Cpu).unwrap();
        let clock = |waits: Waits| waits.clock(&operation, &inputs, &Device::Cpu).unwrap();
        assert_eq!(clock(Waits::After(3)).runs_per_wait(), 3);
        assert_eq!(clock(Waits::ByTime(0.0)).runs_per_wait(), 1);
        assert_eq!(clock(Waits::ByTime(1e3)).runs_per_wait(), MOST_RUNS);
    }
}
