//! Strategies, and what has to be known before one may be used.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Key, LitmusRounds};

/// Strategy by which MPS work is put in order with candle's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

/// The record of a litmus test: whether a strategy ordered every round of it, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Litmus {
    /// Machine, versions and strategy.
    pub key: Key,
    /// How it went.
    pub rounds: LitmusRounds,
}

/// Reason why a strategy may not be used here.
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
    /// Whether `litmus` allows this strategy here, which is where `here` says.
    ///
    /// # Errors
    ///
    /// [`Refusal::Unproven`] for a bridge without a passed test of it here.
    pub fn check(self, here: &Key, litmus: Option<&Litmus>) -> Result<(), Refusal> {
        let proven = litmus.is_some_and(|litmus| {
            litmus.rounds.passed() && litmus.key.strategy == self && litmus.key == *here
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
        Litmus {
            key: Key::new("applegpu_g13g", "Apple M1", "24B83", Strategy::FenceBridge),
            rounds: LitmusRounds::new(200, 0),
        }
    }

    #[test]
    fn a_bridge_needs_a_test_that_passed_here() {
        let here = litmus().key;
        let check = |litmus: Option<&Litmus>| Strategy::FenceBridge.check(&here, litmus);
        let strategy = Strategy::FenceBridge;
        let unproven = Err(Refusal::Unproven { strategy });
        assert_eq!(check(Some(&litmus())), Ok(()));
        assert_eq!(check(None), unproven);
        let changes: [fn(&mut Litmus); 7] = [
            |l| l.rounds.failures = 1,
            |l| l.rounds.rounds = 0,
            |l| l.key.strategy = Strategy::Blocking,
            |l| l.key.architecture = "applegpu_g17s".into(),
            |l| l.key.gpu = "Apple M1 Pro".into(),
            |l| l.key.macos_build = "24C101".into(),
            |l| l.key.candle_version = "0.12.0".into(),
        ];
        for change in changes {
            let mut changed = litmus();
            change(&mut changed);
            assert_eq!(check(Some(&changed)), unproven, "{changed:?}");
        }
    }

    #[test]
    fn another_strategys_test_proves_nothing() {
        let mut litmus = litmus();
        litmus.key.strategy = Strategy::Blocking;
        let checked = Strategy::FenceBridge.check(&litmus.key, Some(&litmus));
        assert!(checked.is_err());
    }

    #[test]
    fn the_others_need_none() {
        for strategy in [Strategy::Blocking, Strategy::SameBuffer] {
            assert_eq!(strategy.check(&litmus().key, None), Ok(()));
        }
    }
}
