//! The softmax of rows that are seen a piece at a time (Milakov and Gimelshein 2018,
//! <https://arxiv.org/abs/1805.02867>).

use metal_candle_cpu::math::{self, exp_f32s};
use pulp::Simd;

/// Statistics of the scores of a row: `probability = exp(score - max) / sum`.
///
/// They are kept apart, not as one `max + ln(sum)`, which would round away the digits of large
/// scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Statistics {
    pub(crate) max: f32,
    /// Sum of `exp(score - max)`.
    pub(crate) sum: f32,
}

impl Default for Statistics {
    /// Statistics of no scores.
    fn default() -> Self {
        Self {
            max: f32::NEG_INFINITY,
            sum: 0.0,
        }
    }
}

impl Statistics {
    /// Statistics of one score.
    pub(crate) fn of_one(score: f32) -> Self {
        Self {
            max: score,
            sum: 1.0,
        }
    }

    /// Adds `scores`, which become `exp(score - max)`, and returns what all sums over earlier
    /// scores have to be multiplied with.
    #[inline(always)]
    pub(crate) fn add<S: Simd>(&mut self, simd: S, scores: &mut [f32]) -> f32 {
        let (scores, rest) = S::as_mut_simd_f32s(scores);
        let mut max = simd.splat_f32s(self.max);
        for scores in scores.iter() {
            max = simd.max_f32s(*scores, max);
        }
        let max = simd.reduce_max_f32s(max);
        let max = rest.iter().fold(max, |max, score| max.max(*score));
        // Where no key is visible yet, -inf - -inf would be no number.
        let shift = if max == f32::NEG_INFINITY { 0.0 } else { max };
        let factor = match max == self.max {
            true => 1.0,
            false => math::exp(self.max - shift),
        };
        let mut sum = simd.splat_f32s(0.0);
        let shifts = simd.splat_f32s(shift);
        for scores in scores {
            *scores = exp_f32s(simd, simd.sub_f32s(*scores, shifts));
            sum = simd.add_f32s(sum, *scores);
        }
        let mut sum = simd.reduce_sum_f32s(sum);
        for score in rest {
            *score = math::exp(*score - shift);
            sum += *score;
        }
        self.sum = self.sum * factor + sum;
        self.max = max;
        factor
    }

    /// Statistics of the scores of all `parts`.
    pub(crate) fn joined(parts: impl Iterator<Item = Self> + Clone) -> Self {
        let max = parts.clone().map(|part| part.max);
        let max = max.fold(f32::NEG_INFINITY, f32::max);
        let sum = |part: Self| part.factor(max) * part.sum;
        Self {
            max,
            sum: parts.map(sum).sum(),
        }
    }

    /// What sums over these scores have to be multiplied with under a larger `max`.
    pub(crate) fn factor(self, max: f32) -> f32 {
        math::exp(self.max - max)
    }
}
