//! Budget of work that candle's command buffer is given before it is committed.

use std::sync::atomic::{AtomicU64, Ordering};

/// Floating-point operations of a command buffer at most, but for a single operation that has more:
/// an eighth of a second on the slowest GPU, an M1, which reaches 1.6e12 of 2.6e12 a second.
///
/// macOS ends a command buffer that keeps the screen waiting. candle counts passes, not what they do.
pub const BUFFER_FLOPS: u64 = 200_000_000_000;

/// Work since the last commit.
#[derive(Debug, Default)]
pub struct Budget {
    spent: AtomicU64,
}

impl Budget {
    /// Nothing spent.
    pub const fn new() -> Self {
        Self {
            spent: AtomicU64::new(0),
        }
    }

    /// Adds work that is about to be encoded; whether what was encoded before has to be committed
    /// first. Of two threads that add at a time either may be told.
    pub fn is_over(&self, flops: u64) -> bool {
        let spent = self.spent.fetch_add(flops, Ordering::Relaxed);
        let over = spent > 0 && spent.saturating_add(flops) > BUFFER_FLOPS;
        if over {
            self.spent.store(flops, Ordering::Relaxed);
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_over_begins_a_buffer() {
        let budget = Budget::new();
        let flops = [BUFFER_FLOPS / 2, BUFFER_FLOPS / 2, 1, BUFFER_FLOPS, 1];
        let over = flops.map(|flops| budget.is_over(flops));
        assert_eq!(over, [false, false, true, true, true]);
    }

    #[test]
    fn an_operation_over_the_limit_has_a_buffer_of_its_own() {
        let budget = Budget::new();
        let over = [u64::MAX, 1, u64::MAX].map(|flops| budget.is_over(flops));
        assert_eq!(over, [false, true, true]);
    }
}
