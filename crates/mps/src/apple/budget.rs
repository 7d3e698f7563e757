//! Commits of candle's command buffer before it holds too much work.

use std::sync::OnceLock;

use candle_core::{MetalDevice, Result};

use crate::order::{Budget, PASSES_VARIABLE, PassesPerBuffer};

/// What all devices together were given: with several there are more commits than there must be.
static BUDGET: Budget = Budget::new();

/// Counts floating-point operations that are about to be encoded. Makes candle commit what it has
/// first, where both together are over [`BUFFER_FLOPS`](crate::order::BUFFER_FLOPS).
///
/// Must not be called with candle's encoder at hand.
///
/// # Errors
///
/// What candle reports.
pub fn charge(device: &MetalDevice, flops: u64) -> Result<()> {
    match flops > 0 && BUDGET.is_over(flops) {
        true => force_commit(device, requests()),
        false => Ok(()),
    }
}

/// Makes candle commit: it counts requests for its encoder, and does at one of these.
pub(super) fn force_commit(device: &MetalDevice, requests: usize) -> Result<()> {
    for _ in 0..requests {
        drop(device.command_encoder()?);
    }
    Ok(())
}

/// None where so many would take longer than what they are made for.
fn requests() -> usize {
    static REQUESTS: OnceLock<usize> = OnceLock::new();
    *REQUESTS.get_or_init(|| {
        let value = std::env::var(PASSES_VARIABLE).ok();
        PassesPerBuffer::parse(value.as_deref()).map_or(0, PassesPerBuffer::requests)
    })
}
