//! Strategies, and what has to be known before one may be used.

use std::fmt;

use thiserror::Error;

/// How MPS work is put in order with candle's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// The host waits for candle, then for MPS. Needs nothing but what Metal has always promised.
    Blocking,
    /// Fences between two queues. Apple says that they work since Metal 3, and an Apple engineer
    /// said in 2018 that they do not: only after a [`Litmus`] on the machine.
    FenceBridge,
    /// MPS in candle's own command buffer, which stock candle does not hand out: needs a candle
    /// with `CommandsGuard::encode_external`, and `--cfg metal_candle_same_buffer`.
    SameBuffer,
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What a machine is told apart by: another GPU, system or candle may order differently.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Machine {
    /// Architecture of the GPU, such as `applegpu_g13g`.
    pub architecture: String,
    /// Version and build of the operating system.
    pub system: String,
    /// Version of this crate.
    pub crate_version: String,
}

/// The record of a litmus test: whether a strategy ordered every round of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Litmus {
    /// Where it ran.
    pub machine: Machine,
    /// What was tested.
    pub strategy: Strategy,
    /// Rounds that were run.
    pub rounds: usize,
    /// Rounds in which MPS or candle saw what it must not see.
    pub failures: usize,
}

impl Litmus {
    /// Whether every round was right, and there was one.
    pub fn passed(&self) -> bool {
        self.rounds > 0 && self.failures == 0
    }
}

/// Why a strategy may not be used here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// candle commits too seldom.
    #[error("CANDLE_METAL_COMPUTE_PER_BUFFER is {passes}, at most {limit} can be bridged")]
    Passes {
        /// Passes in a command buffer of candle's.
        passes: usize,
        /// The limit.
        limit: usize,
    },
    /// No litmus test of this strategy has passed on this machine.
    #[error("{strategy} has not passed its litmus test on this machine")]
    Unproven {
        /// What was asked for.
        strategy: Strategy,
    },
    /// This build is for a candle that does not hand out its command buffer.
    #[error("SameBuffer needs a candle with `encode_external` and --cfg metal_candle_same_buffer")]
    NotBuilt,
}

impl Strategy {
    /// Whether `litmus` allows this strategy on `machine`.
    ///
    /// # Errors
    ///
    /// [`Refusal::Unproven`] for a bridge without a passed test on this machine.
    pub fn check(self, machine: &Machine, litmus: Option<&Litmus>) -> Result<(), Refusal> {
        let proven = litmus.is_some_and(|litmus| {
            litmus.passed() && litmus.strategy == self && litmus.machine == *machine
        });
        match self {
            Self::FenceBridge if !proven => Err(Refusal::Unproven { strategy: self }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn litmus() -> Litmus {
        let text = String::from;
        Litmus {
            machine: Machine {
                architecture: text("applegpu_g13g"),
                system: text("15.1 24B83"),
                crate_version: text("1"),
            },
            strategy: Strategy::FenceBridge,
            rounds: 200,
            failures: 0,
        }
    }

    #[test]
    fn a_bridge_needs_a_test_that_passed_here() {
        let machine = litmus().machine;
        let check = |litmus: Option<&Litmus>| Strategy::FenceBridge.check(&machine, litmus);
        let unproven = Err(Refusal::Unproven {
            strategy: Strategy::FenceBridge,
        });
        assert_eq!(check(Some(&litmus())), Ok(()));
        assert_eq!(check(None), unproven);
        let changes: [fn(&mut Litmus); 6] = [
            |l| l.failures = 1,
            |l| l.rounds = 0,
            |l| l.strategy = Strategy::Blocking,
            |l| l.machine.architecture = "applegpu_g17s".into(),
            |l| l.machine.system = "15.2 24C101".into(),
            |l| l.machine.crate_version = "2".into(),
        ];
        for change in changes {
            let mut changed = litmus();
            change(&mut changed);
            assert_eq!(check(Some(&changed)), unproven, "{changed:?}");
        }
    }

    #[test]
    fn the_others_need_none() {
        for strategy in [Strategy::Blocking, Strategy::SameBuffer] {
            assert_eq!(strategy.check(&litmus().machine, None), Ok(()));
        }
    }
}
