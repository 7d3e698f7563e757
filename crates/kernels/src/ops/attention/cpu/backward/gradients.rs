//! Rows of scores in backward, a register at a time: their probabilities and their gradients.

use crate::host::online::Statistics;
use crate::ops::attention::cpu::spans::KEYS;
use crate::ops::softcap::registers::bounded_f32s;
use metal_candle_cpu::math::exp_f32s;
use metal_candle_cpu::vector::update;
use pulp::Simd;
use std::ops::Range;

/// Bounds the scores of some columns; `dp` becomes `(dp - delta)` times the derivative.
#[inline(always)]
pub(super) fn bound_rows<S: Simd>(
    simd: S,
    scores: &mut [f32],
    dp: &mut [f32],
    (columns, deltas): (&Range<usize>, &[f32]),
    cap: f32,
) {
    let rows = scores.chunks_exact_mut(KEYS).zip(dp.chunks_exact_mut(KEYS));
    for (delta, (scores, dp)) in deltas.iter().zip(rows) {
        let (delta, cap) = (simd.splat_f32s(*delta), simd.splat_f32s(cap));
        update(
            simd,
            [&mut scores[columns.clone()], &mut dp[columns.clone()]],
            [],
            #[inline(always)]
            |[score, dp], []| {
                let [score, slope] = bounded_f32s(simd, score, cap);
                [score, simd.mul_f32s(simd.sub_f32s(dp, delta), slope)]
            },
        );
    }
}

/// `exp(s - max) / sum`.
#[inline(always)]
pub(super) fn probabilities<S: Simd>(simd: S, scores: &mut [f32], statistics: Statistics) {
    let max = simd.splat_f32s(statistics.max);
    let factor = simd.splat_f32s(1.0 / statistics.sum);
    let (scores, _) = S::as_mut_simd_f32s(scores);
    for score in scores {
        let exp = exp_f32s(simd, simd.sub_f32s(*score, max));
        *score = simd.mul_f32s(exp, factor);
    }
}

/// `dp` becomes `scale * p * (dp - delta)`.
#[inline(always)]
pub(super) fn score_gradients<S: Simd>(simd: S, p: &[f32], dp: &mut [f32], delta: f32, scale: f32) {
    let (delta, scale) = (simd.splat_f32s(delta), simd.splat_f32s(scale));
    let ((p, _), (dp, _)) = (S::as_simd_f32s(p), S::as_mut_simd_f32s(dp));
    for (p, dp) in p.iter().zip(dp) {
        let scaled = simd.mul_f32s(*p, scale);
        *dp = simd.mul_f32s(scaled, simd.sub_f32s(*dp, delta));
    }
}
