//! A few rows times the matrix, such as a token: dot products that read the bits as they are stored.
//!
//! `sum_k (scale q_k + bias) x_k` is, of each group, `scale * sum q_k x_k + bias * sum x_k`. A lane
//! takes the numbers of a word: number `s` of each half of it lies at bit `s * bits`, and is a float
//! without a shift or a conversion when it is put into the fraction of `2^23`, where it counts
//! `2^(s * bits)` times. `x` is divided by that before; both are exact.

use super::arranged::Arranged;
use super::{Dots, MOST_ROWS, ROWS};
use metal_candle_cpu::simd::{Cache, prefetch};
use metal_candle_cpu::vector::fold;
use pulp::{Simd, WithSimd};

/// `2^23`: its last digit is one.
const UNIT: f32 = 8_388_608.0;

/// The least of the sizes that groups have.
const SMALLEST_GROUP: usize = super::super::GROUPS[0];

/// Words that are asked for ahead of their use: 2 KiB.
const AHEAD: usize = 512;

impl WithSimd for Dots<'_, Arranged> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.matrix.bits {
            2 => self.by_groups::<S, 2, 16>(simd),
            4 => self.by_groups::<S, 4, 8>(simd),
            _ => self.by_groups::<S, 8, 4>(simd),
        }
    }
}

impl Dots<'_, Arranged> {
    /// Products by the groups that the words of one register belong to.
    #[inline(always)]
    fn by_groups<S: Simd, const BITS: usize, const PER_WORD: usize>(self, simd: S) {
        let numbers = S::F32_LANES * PER_WORD;
        // What a level does not have is not compiled for it: the first condition is a constant.
        match numbers / self.matrix.group {
            2 if numbers >= 2 * SMALLEST_GROUP => self.by_count::<S, BITS, PER_WORD, 2>(simd),
            4 if numbers >= 4 * SMALLEST_GROUP => self.by_count::<S, BITS, PER_WORD, 4>(simd),
            8 if numbers >= 8 * SMALLEST_GROUP => self.by_count::<S, BITS, PER_WORD, 8>(simd),
            _ => self.by_count::<S, BITS, PER_WORD, 1>(simd),
        }
    }

    #[inline(always)]
    fn by_count<S: Simd, const BITS: usize, const PER_WORD: usize, const G: usize>(self, simd: S) {
        match self.x.len() {
            1 => simd.vectorize(OfSize::<BITS, PER_WORD, G, 1>(self)),
            2 => simd.vectorize(OfSize::<BITS, PER_WORD, G, 2>(self)),
            _ => simd.vectorize(OfSize::<BITS, PER_WORD, G, MOST_ROWS>(self)),
        }
    }
}

/// Products whose sizes the compiler knows: of each choice a function of its own.
struct OfSize<'a, const BITS: usize, const PER_WORD: usize, const G: usize, const MR: usize>(
    Dots<'a, Arranged>,
);

impl<const BITS: usize, const PER_WORD: usize, const G: usize, const MR: usize> WithSimd
    for OfSize<'_, BITS, PER_WORD, G, MR>
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        self.0.all::<S, BITS, PER_WORD, G, MR>(simd);
    }
}

impl<'a> Dots<'a, Arranged> {
    #[inline(always)]
    fn all<S: Simd, const BITS: usize, const PER_WORD: usize, const G: usize, const MR: usize>(
        self,
        simd: S,
    ) {
        let n_groups = self.matrix.n_groups;
        let arranged = |x: &'a Arranged| {
            let numbers = S::as_simd_f32s(&x.numbers).0;
            (numbers.as_chunks::<PER_WORD>().0, &x.sums[..])
        };
        // Where there are fewer rows, the last one again: its products are dropped.
        let mut x = [arranged(&self.x[self.x.len() - 1]); MR];
        for (to, x) in x.iter_mut().zip(self.x) {
            *to = arranged(x);
        }
        let row = ArrangedRows::<S, PER_WORD, MR> {
            x,
            registers_of_group: (self.matrix.group / PER_WORD / S::F32_LANES).max(1),
        };
        let (mut scales, mut biases) = (vec![0.0; ROWS * n_groups], vec![0.0; ROWS * n_groups]);
        let n_rows = self.rows.len();
        for first in (0..n_rows).step_by(ROWS) {
            let count = ROWS.min(n_rows - first);
            let rows = self.rows.start + first..self.rows.start + first + count;
            let used = count * n_groups;
            let factors = [&mut scales[..used], &mut biases[..used]];
            self.matrix.factors_of_rows(rows.clone(), factors);
            let factors = scales.chunks(n_groups).zip(biases.chunks(n_groups));
            for ((j, index), (scales, biases)) in (first..).zip(rows).zip(factors) {
                let words = self.matrix.words(index);
                let dots = row.dot::<BITS, G>(simd, words, scales, biases);
                for (to, dot) in self.to[j..].iter_mut().step_by(n_rows).zip(dots) {
                    *to = dot;
                }
            }
        }
    }
}

/// A row of `x` in registers, those of a word's numbers together, and the sums of its groups.
type ArrangedRow<'a, S, const PER_WORD: usize> = (&'a [[<S as Simd>::f32s; PER_WORD]], &'a [f32]);

/// The rows of `x` and the sums of their groups, as a row of the matrix is multiplied with them.
struct ArrangedRows<'a, S: Simd, const PER_WORD: usize, const MR: usize> {
    x: [ArrangedRow<'a, S, PER_WORD>; MR],
    /// Registers of words that share a scale.
    registers_of_group: usize,
}

impl<S: Simd, const PER_WORD: usize, const MR: usize> ArrangedRows<'_, S, PER_WORD, MR> {
    #[inline(always)]
    fn dot<const BITS: usize, const G: usize>(
        &self,
        simd: S,
        words: &[u32],
        scales: &[f32],
        biases: &[f32],
    ) -> [f32; MR] {
        let mut totals = [[simd.splat_f32s(0.0); G]; MR];
        let (whole, rest) = S::as_simd_u32s(words);
        for (i, register) in whole.iter().enumerate() {
            prefetch(
                std::ptr::from_ref(register)
                    .cast::<u32>()
                    .wrapping_add(AHEAD),
                Cache::First,
            );
            let sums = self.sums_of_register::<BITS>(simd, *register, i);
            add_scaled(simd, &mut totals, sums, self.scales::<G>(scales, i));
        }
        if !rest.is_empty() {
            let (register, i) = (simd.partial_load_u32s(rest), whole.len());
            let sums = self.sums_of_register::<BITS>(simd, register, i);
            add_scaled(simd, &mut totals, sums, self.scales::<G>(scales, i));
        }
        let mut dots = [0.0; MR];
        for ((dot, totals), (_, sums)) in dots.iter_mut().zip(totals).zip(self.x) {
            let scaled = by_lane(simd, totals);
            let biased = dot_lanes(simd, sums, biases);
            *dot = simd.reduce_sum_f32s(simd.add_f32s(scaled, biased));
        }
        dots
    }

    /// The scales of the words of register `index`, of those that there are.
    #[inline(always)]
    fn scales<'s, const G: usize>(&self, scales: &'s [f32], index: usize) -> &'s [f32] {
        let first = index * G / self.registers_of_group;
        &scales[first..scales.len().min(first + G)]
    }

    /// `sum q_k x_k` of the words of register `index`, each in its lane.
    #[allow(clippy::needless_range_loop)] // Iterators keep the sums in memory.
    #[inline(always)]
    fn sums_of_register<const BITS: usize>(
        &self,
        simd: S,
        words: S::u32s,
        index: usize,
    ) -> [S::f32s; MR] {
        let (unit, exponent) = (simd.splat_f32s(UNIT), simd.splat_u32s(UNIT.to_bits()));
        let halves = [
            words,
            simd.wrapping_dyn_shr_u32s(words, simd.splat_u32s(16)),
        ];
        let mut sums = [[simd.splat_f32s(0.0); 2]; MR];
        let mut x = [&self.x[0].0[index]; MR];
        for i in 1..MR {
            x[i] = &self.x[i].0[index];
        }
        for number in 0..PER_WORD {
            let half = 2 * number / PER_WORD;
            let bit = BITS * (number % (PER_WORD / 2));
            let mask = simd.splat_u32s(((1 << BITS) - 1) << bit);
            let q = simd.or_u32s(simd.and_u32s(halves[half], mask), exponent);
            let q = simd.sub_f32s(simd.transmute_f32s_u32s(q), unit);
            for i in 0..MR {
                sums[i][half] = simd.mul_add_e_f32s(q, x[i][number], sums[i][half]);
            }
        }
        let mut totals = [simd.splat_f32s(0.0); MR];
        for i in 0..MR {
            totals[i] = simd.add_f32s(sums[i][0], sums[i][1]);
        }
        totals
    }
}

/// Adds every sum times the scale of each group that its register has lanes of: a lane's own is
/// chosen in the end.
#[inline(always)]
fn add_scaled<S: Simd, const G: usize, const MR: usize>(
    simd: S,
    totals: &mut [[S::f32s; G]; MR],
    sums: [S::f32s; MR],
    scales: &[f32],
) {
    for (group, &scale) in scales.iter().enumerate().take(G) {
        let scale = simd.splat_f32s(scale);
        for (totals, &sum) in totals.iter_mut().zip(&sums) {
            totals[group] = simd.mul_add_e_f32s(sum, scale, totals[group]);
        }
    }
}

/// Total of every lane with the scale of its own group.
#[inline(always)]
fn by_lane<S: Simd, const G: usize>(simd: S, totals: [S::f32s; G]) -> S::f32s {
    let lanes = (S::F32_LANES / G) as u32;
    let mut chosen = totals[0];
    for (group, &total) in (0..).zip(&totals).skip(1) {
        let own = simd.mask_between_m32s(group * lanes, (group + 1) * lanes);
        chosen = simd.select_f32s(own.mask(), total, chosen);
    }
    chosen
}

/// `sum x y`, spread over lanes.
#[inline(always)]
fn dot_lanes<S: Simd>(simd: S, x: &[f32], y: &[f32]) -> S::f32s {
    let [sum] = fold(
        simd,
        [x, y],
        0.0,
        #[inline(always)]
        |[sum], [x, y]| [simd.mul_add_e_f32s(x, y, sum)],
        #[inline(always)]
        |a, b| simd.add_f32s(a, b),
    );
    sum
}
