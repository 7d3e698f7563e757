//! Ceilings of the processor, as loops that a benchmark times: one is bound by memory, the
//! other by arithmetic. Both run at the level of the process ([`crate::simd`]), on one thread.

use crate::simd::dispatch;
use pulp::{Simd, WithSimd};
use std::hint::black_box;

/// The sum of `data`: a pass over memory with next to no arithmetic.
#[must_use]
pub fn read(data: &[f32]) -> f32 {
    dispatch(Read(data))
}

/// Multiplies and adds in registers, without touching memory.
#[must_use]
pub fn multiply_add(rounds: usize) -> MultiplyAdds {
    dispatch(Rounds(rounds))
}

/// Work that [`multiply_add`] has done.
#[derive(Clone, Copy, Debug)]
pub struct MultiplyAdds {
    /// Floating-point operations; a multiplication with an addition counts as two.
    pub flops: u64,
    /// A number that depends on all of them, so that none is left out.
    pub result: f32,
}

struct Read<'a>(&'a [f32]);

impl WithSimd for Read<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let (vectors, rest) = S::as_simd_f32s(self.0);
        let (blocks, vectors) = pulp::as_arrays::<8, _>(vectors);
        let mut sums = [simd.splat_f32s(0.0); 8];
        for block in blocks {
            for (sum, &x) in sums.iter_mut().zip(block) {
                *sum = simd.add_f32s(*sum, x);
            }
        }
        for &x in vectors {
            sums[0] = simd.add_f32s(sums[0], x);
        }
        let total = |sum: &S::f32s| simd.reduce_sum_f32s(*sum);
        sums.iter().map(total).sum::<f32>() + rest.iter().sum::<f32>()
    }
}

struct Rounds(usize);

impl WithSimd for Rounds {
    type Output = MultiplyAdds;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> MultiplyAdds {
        // Enough chains to hide the latency of every unit, and few enough to stay in registers.
        match S::REGISTER_COUNT {
            32.. => chains::<S, 24>(simd, self.0),
            _ => chains::<S, 12>(simd, self.0),
        }
    }
}

#[inline(always)]
fn chains<S: Simd, const N: usize>(simd: S, rounds: usize) -> MultiplyAdds {
    // Numbers that the compiler does not know, each chain its own: equal ones would become one, and
    // the fixed point no loop at all. They converge to one, away from what is slow to compute with.
    let mut chains = [simd.splat_f32s(0.0); N];
    for (i, x) in chains.iter_mut().enumerate() {
        *x = simd.splat_f32s(black_box(i as f32));
    }
    let half = simd.splat_f32s(black_box(0.5));
    for _ in 0..rounds {
        for x in &mut chains {
            *x = simd.mul_add_e_f32s(*x, half, half);
        }
    }
    let total = |x: &S::f32s| simd.reduce_sum_f32s(*x);
    MultiplyAdds {
        flops: 2 * (rounds * N * S::F32_LANES) as u64,
        result: chains.iter().map(total).sum(),
    }
}
