//! Tasks compiled for the level of vector instructions, which says how many rows their tiles have.

use metal_candle_cpu::simd::dispatch;
use pulp::{Simd, WithSimd};

/// A task that multiplies tiles of `M` rows ([`super::tile::Tile`]).
pub(super) trait Task {
    /// Memory that every task of a thread uses again.
    type Memory;

    fn run<S: Simd, const M: usize>(self, simd: S, memory: &mut Self::Memory);
}

/// Runs a task.
pub(super) fn run<T: Task>(task: T, memory: &mut T::Memory) {
    dispatch(Vectorized { task, memory });
}

struct Vectorized<'m, T: Task> {
    task: T,
    memory: &'m mut T::Memory,
}

impl<T: Task> WithSimd for Vectorized<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Two registers a row, and three more for the factors.
        match S::REGISTER_COUNT {
            32.. => self.task.run::<S, 8>(simd, self.memory),
            _ => self.task.run::<S, 6>(simd, self.memory),
        }
    }
}
