//! Dot products of a few rows with some of the matrix.

use super::{AHEAD, Coded, Codes, MOST_GROUPS, MOST_ROWS, Prepared};
use metal_candle_cpu::simd::{Cache, prefetch};
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Rows of the matrix whose factors are computed at a time.
const ROWS: usize = 16;

/// Floats of the widest registers.
const MOST_LANES: usize = 16;

/// Products of all rows with some of the matrix.
pub(super) struct Dots<'a, 'm, const PER_WORD: usize, C> {
    pub(super) few: &'a Prepared<'m, PER_WORD, C>,
    pub(super) rows: Range<usize>,
    /// Products of every row of `x`, one after the other.
    pub(super) to: &'a mut [f32],
}

impl<const PER_WORD: usize, C: Codes<PER_WORD>> WithSimd for Dots<'_, '_, PER_WORD, C> {
    type Output = ();

    /// Products by the groups that the words of one register belong to.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // What a level does not have is not compiled for it: the first condition is a constant.
        match S::F32_LANES >> self.few.matrix.run {
            2 if S::F32_LANES >= 4 => self.by_count::<S, 2>(simd),
            4 if S::F32_LANES >= 8 => self.by_count::<S, 4>(simd),
            MOST_GROUPS if S::F32_LANES >= 16 => self.by_count::<S, MOST_GROUPS>(simd),
            _ => self.by_count::<S, 1>(simd),
        }
    }
}

impl<const PER_WORD: usize, C: Codes<PER_WORD>> Dots<'_, '_, PER_WORD, C> {
    #[inline(always)]
    fn by_count<S: Simd, const G: usize>(self, simd: S) {
        match self.few.x.len() {
            1 => simd.vectorize(OfSize::<PER_WORD, G, 1, C>(self)),
            2 => simd.vectorize(OfSize::<PER_WORD, G, 2, C>(self)),
            _ => simd.vectorize(OfSize::<PER_WORD, G, MOST_ROWS, C>(self)),
        }
    }
}

/// Products whose sizes the compiler knows: of each choice a function of its own.
struct OfSize<'a, 'm, const PER_WORD: usize, const G: usize, const MR: usize, C>(
    Dots<'a, 'm, PER_WORD, C>,
);

impl<const PER_WORD: usize, const G: usize, const MR: usize, C: Codes<PER_WORD>> WithSimd
    for OfSize<'_, '_, PER_WORD, G, MR, C>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Dots { few, rows, to } = self.0;
        // Where there are fewer rows, the last one again: its products are dropped.
        let mut x = [registers::<S, PER_WORD>(&few.x[few.x.len() - 1]); MR];
        for (to, x) in x.iter_mut().zip(&few.x) {
            *to = registers::<S, PER_WORD>(x);
        }
        let Coded { codes, run, .. } = &few.matrix;
        let of_x = Rows::<S, PER_WORD, G, MR, C> {
            codes,
            run: *run,
            x,
            lanes: Lanes::of::<S, PER_WORD, C>(codes, *run),
        };
        let (n_rows, n_factors) = (rows.len(), few.n_factors());
        let mut factors = vec![0.0; ROWS * n_factors];
        for first in (0..n_rows).step_by(ROWS) {
            let some = rows.start + first..rows.start + n_rows.min(first + ROWS);
            (few.factors)(some.clone(), &mut factors[..some.len() * n_factors]);
            for (j, index) in some.enumerate() {
                let factors = &factors[j * n_factors..][..n_factors];
                let dots = of_x.dots(simd, few.matrix.row(index), factors);
                let to = to[first + j..].iter_mut().step_by(n_rows);
                for (to, dot) in to.zip(dots) {
                    *to = dot;
                }
            }
        }
    }
}

/// A row of `x` in registers, those that meet a register of words together.
#[inline(always)]
fn registers<S: Simd, const PER_WORD: usize>(x: &[f32]) -> &[[S::f32s; PER_WORD]] {
    S::as_simd_f32s(x).0.as_chunks().0
}

/// Lanes of decoded registers whose words belong to each group of a register of words.
struct Lanes<const G: usize> {
    /// All bits of the lanes, in the registers from which the sums of the group are taken.
    masks: [[u32; MOST_LANES]; G],
    /// Whether the first half of the registers has every second group, and the second half has the others.
    by_halves: bool,
}

impl<const G: usize> Lanes<G> {
    fn of<S: Simd, const PER_WORD: usize, C: Codes<PER_WORD>>(codes: &C, run: u32) -> Self {
        let group = |half: usize, lane: usize| codes.place::<S>(half * PER_WORD / 2, lane).0 >> run;
        let by_halves = group(0, 0) != group(1, 0);
        let mut masks = [[0; MOST_LANES]; G];
        for (index, mask) in masks.iter_mut().enumerate() {
            let half = index % 2 * usize::from(by_halves);
            for (lane, bits) in mask[..S::F32_LANES].iter_mut().enumerate() {
                if group(half, lane) == index {
                    *bits = u32::MAX;
                }
            }
        }
        Self { masks, by_halves }
    }

    /// Sum of every lane with the factor of its own group.
    #[inline(always)]
    fn own<S: Simd>(&self, simd: S, totals: [S::f32s; G]) -> S::f32s {
        if G == 1 {
            return totals[0];
        }
        let mut sum = simd.splat_f32s(0.0);
        for (total, mask) in totals.iter().zip(&self.masks) {
            let mask = S::as_simd_u32s(&mask[..S::F32_LANES]).0[0];
            let own = simd.and_u32s(simd.transmute_u32s_f32s(*total), mask);
            sum = simd.add_f32s(sum, simd.transmute_f32s_u32s(own));
        }
        sum
    }
}

/// Rows of `x`, as a row of the matrix is multiplied with them.
struct Rows<'a, S: Simd, const PER_WORD: usize, const G: usize, const MR: usize, C> {
    codes: &'a C,
    run: u32,
    x: [&'a [[S::f32s; PER_WORD]]; MR],
    lanes: Lanes<G>,
}

impl<S: Simd, const PER_WORD: usize, const G: usize, const MR: usize, C: Codes<PER_WORD>>
    Rows<'_, S, PER_WORD, G, MR, C>
{
    /// Dot products with a row of the matrix.
    #[inline(always)]
    fn dots(&self, simd: S, words: &[u32], factors: &[f32]) -> [f32; MR] {
        let mut totals = [[simd.splat_f32s(0.0); G]; MR];
        let (whole, rest) = S::as_simd_u32s(words);
        for (i, register) in whole.iter().enumerate() {
            let ahead = std::ptr::from_ref(register).cast::<u32>();
            prefetch(ahead.wrapping_add(AHEAD), Cache::First);
            let first = (i * S::F32_LANES) >> self.run;
            self.add(simd, *register, i, &factors[first..first + G], &mut totals);
        }
        if !rest.is_empty() {
            let (register, i) = (simd.partial_load_u32s(rest), whole.len());
            let mut of_rest = [0.0; G];
            let factors = &factors[(i * S::F32_LANES) >> self.run..];
            for (to, factor) in of_rest.iter_mut().zip(factors) {
                *to = *factor;
            }
            self.add(simd, register, i, &of_rest, &mut totals);
        }
        let mut dots = [0.0; MR];
        for (dot, totals) in dots.iter_mut().zip(totals) {
            *dot = simd.reduce_sum_f32s(self.lanes.own(simd, totals));
        }
        dots
    }

    /// Adds the products with a register of words, times the factor of every group.
    #[allow(clippy::needless_range_loop)] // Iterators keep the sums in memory.
    #[inline(always)]
    fn add(
        &self,
        simd: S,
        words: S::u32s,
        index: usize,
        factors: &[f32],
        totals: &mut [[S::f32s; G]; MR],
    ) {
        let numbers = self.codes.decode(simd, words);
        for i in 0..MR {
            let x = &self.x[i][index];
            let mut halves = [simd.splat_f32s(0.0); 2];
            for register in 0..PER_WORD {
                let half = 2 * register / PER_WORD;
                halves[half] = simd.mul_add_e_f32s(numbers[register], x[register], halves[half]);
            }
            if !self.lanes.by_halves {
                halves = [simd.add_f32s(halves[0], halves[1]); 2];
            }
            for group in 0..G {
                let factor = simd.splat_f32s(factors[group]);
                totals[i][group] = simd.mul_add_e_f32s(halves[group % 2], factor, totals[i][group]);
            }
        }
    }
}
