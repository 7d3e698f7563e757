//! `sum_j p_j dp_j` of every row of probabilities, which backward subtracts.
//!
//! It is `dy y^T`, since `dp_j = dy v_j^T` and `y = sum_j p_j v_j`: no pass over the keys is needed.
//! Where one key takes all, `y = v_j`, and `dp_j - delta` must vanish; so the products are added one
//! after the other, as they are in `dp_j`, and both are rounded alike.

use crate::ops::attention::cpu::heads::Wide;
use crate::ops::attention::cpu::spans::QUERIES;
use crate::ops::attention::sizes::Sizes;
use metal_candle_cpu::simd::dispatch;
use metal_candle_cpu::threads::for_each_task;
use pulp::{Simd, WithSimd};

/// `(B, H, Tq)`.
pub(super) fn deltas(y: &Wide<'_>, dy: &Wide<'_>, sizes: Sizes) -> Vec<f32> {
    let rows = sizes.rows();
    let mut deltas = vec![0.0; rows];
    let heads = deltas.chunks_mut(sizes.queries.max(1)).enumerate();
    let tasks = heads.flat_map(|(head, deltas)| {
        let tasks = deltas.chunks_mut(QUERIES).enumerate();
        tasks.map(move |(i, deltas)| DeltaTask {
            y,
            dy,
            sizes,
            head,
            first: i * QUERIES,
            deltas,
        })
    });
    for_each_task(tasks.collect(), rows * sizes.width, |_: &mut (), task| {
        dispatch(task);
    });
    deltas
}

struct DeltaTask<'a> {
    y: &'a Wide<'a>,
    dy: &'a Wide<'a>,
    sizes: Sizes,
    head: usize,
    first: usize,
    deltas: &'a mut [f32],
}

impl WithSimd for DeltaTask<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Sizes { heads, width, .. } = self.sizes;
        let (batch, head) = (self.head / heads, self.head % heads);
        let y = self.y.tokens(batch, head, self.first);
        let dy = self.dy.tokens(batch, head, self.first);
        for (i, delta) in self.deltas.iter_mut().enumerate() {
            let (y, dy) = (&y.data[i * y.step..], &dy.data[i * dy.step..]);
            let mut sum = simd.splat_f32s(0.0);
            for (y, dy) in y[..width].iter().zip(&dy[..width]) {
                sum = simd.mul_add_e_f32s(simd.splat_f32s(*dy), simd.splat_f32s(*y), sum);
            }
            *delta = simd.reduce_max_f32s(sum);
        }
    }
}
