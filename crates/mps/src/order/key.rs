//! Keys: what a litmus test and measurements hold for, and how the test went.

use serde::{Deserialize, Serialize};

use super::Strategy;

/// Version of what is kept in files.
pub const SCHEMA: u32 = 1;
/// The candle whose kernels were measured; the workspace pins it.
pub const CANDLE_VERSION: &str = "0.11.1";

/// Key that measurements hold for. Another GPU, system, candle or way of ordering may be otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Version of this crate.
    pub crate_version: String,
    /// [`CANDLE_VERSION`].
    pub candle_version: String,
    /// Name of the GPU's architecture.
    pub architecture: String,
    /// Name of the GPU.
    pub gpu: String,
    /// Build of macOS (`kern.osversion`).
    pub macos_build: String,
    /// How MPS work was ordered with candle's.
    pub strategy: Strategy,
}

impl Key {
    /// Key of this build on a machine.
    pub fn new(architecture: &str, gpu: &str, macos_build: &str, strategy: Strategy) -> Self {
        Self {
            schema: SCHEMA,
            crate_version: env!("CARGO_PKG_VERSION").into(),
            candle_version: CANDLE_VERSION.into(),
            architecture: architecture.into(),
            gpu: gpu.into(),
            macos_build: macos_build.into(),
            strategy,
        }
    }
}

/// Rounds of the test that a strategy orders work at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LitmusRounds {
    /// How many were run.
    pub rounds: usize,
    /// How many saw what they must not see, or did not end.
    pub failures: usize,
}

impl LitmusRounds {
    /// So many rounds, of which so many failed.
    pub const fn new(rounds: usize, failures: usize) -> Self {
        Self { rounds, failures }
    }

    /// Whether every round was right, and there was one.
    pub fn passed(self) -> bool {
        self.rounds > 0 && self.failures == 0
    }
}
