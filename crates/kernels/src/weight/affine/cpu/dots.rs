//! A few rows times the matrix, such as a token: dot products that read the bits as they are stored.
//!
//! `sum_k (scale q_k + bias) x_k` is, of each group, `scale * sum q_k x_k + bias * sum x_k`. A lane
//! takes the numbers of a word: number `s` of each half of it lies at bit `s * bits`, and is a float
//! without a shift or a conversion when it is put into the fraction of `2^23`, where it counts
//! `2^(s * bits)` times. `x` is divided by that before; both are exact.

use super::PackedRows;
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Rows that share each number of the matrix while it is in a register.
pub(super) const MOST_ROWS: usize = 4;

/// `2^23`: its last digit is one.
const UNIT: f32 = 8_388_608.0;

/// Dot products of all of `x` with some rows of the matrix.
pub(super) struct Dots<'a> {
    pub(super) matrix: PackedRows<'a>,
    pub(super) x: &'a [Vec<f32>],
    pub(super) rows: Range<usize>,
    /// Products of every row of `x`, one after the other.
    pub(super) to: &'a mut [f32],
}

impl WithSimd for Dots<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.matrix.bits {
            2 => self.by_count::<S, 2>(simd),
            4 => self.by_count::<S, 4>(simd),
            _ => self.by_count::<S, 8>(simd),
        }
    }
}

impl Dots<'_> {
    #[inline(always)]
    fn by_count<S: Simd, const BITS: usize>(self, simd: S) {
        match self.x.len() {
            1 => self.all::<S, BITS, 1>(simd),
            2 => self.all::<S, BITS, 2>(simd),
            3 => self.all::<S, BITS, 3>(simd),
            _ => self.all::<S, BITS, 4>(simd),
        }
    }

    #[inline(always)]
    fn all<S: Simd, const BITS: usize, const MR: usize>(self, simd: S) {
        let Self {
            matrix,
            x,
            rows,
            to,
        } = self;
        let (n_groups, words) = (matrix.n_groups, matrix.group * BITS / 32);
        let mut arranged = [const { Vec::new() }; MR];
        let mut sums = [const { Vec::<f32>::new() }; MR];
        for ((arranged, sums), x) in arranged.iter_mut().zip(&mut sums).zip(x) {
            *arranged = arrange::<S, BITS>(x);
            *sums = x
                .chunks(matrix.group)
                .map(|group| group.iter().sum())
                .collect();
        }
        let (mut scales, mut biases) = (vec![0.0; n_groups], vec![0.0; n_groups]);
        let mut by_word = vec![0.0; (n_groups * words).next_multiple_of(S::F32_LANES)];
        let n_rows = rows.len();
        for (j, row) in rows.enumerate() {
            matrix.factors(row, &(0..n_groups), [&mut scales, &mut biases]);
            for (to, scale) in by_word.chunks_exact_mut(words).zip(&scales) {
                to.fill(*scale);
            }
            let scaled = dot::<S, BITS, MR>(simd, matrix.words(row), &by_word, &arranged);
            for (i, scaled) in scaled.into_iter().enumerate() {
                let of_biases = sums[i].iter().zip(&biases).map(|(sum, bias)| sum * bias);
                to[i * n_rows + j] = scaled + of_biases.sum::<f32>();
            }
        }
    }
}

/// `sum_k scale_k q_k x_k` of each `x`.
#[inline(always)]
fn dot<S: Simd, const BITS: usize, const MR: usize>(
    simd: S,
    words: &[u32],
    scales: &[f32],
    x: &[Vec<f32>; MR],
) -> [f32; MR] {
    let mut totals = [simd.splat_f32s(0.0); MR];
    let (whole, rest) = S::as_simd_u32s(words);
    let (scales, _) = S::as_simd_f32s(scales);
    let mut vectors = [&[][..]; MR];
    for (vectors, x) in vectors.iter_mut().zip(x) {
        *vectors = S::as_simd_f32s(x).0;
    }
    for (i, &words) in whole.iter().enumerate() {
        add_block::<S, BITS, MR>(simd, words, scales[i], &vectors, i, &mut totals);
    }
    if !rest.is_empty() {
        let (words, i) = (simd.partial_load_u32s(rest), whole.len());
        add_block::<S, BITS, MR>(simd, words, scales[i], &vectors, i, &mut totals);
    }
    let mut sums = [0.0; MR];
    for (sum, total) in sums.iter_mut().zip(totals) {
        *sum = simd.reduce_sum_f32s(total);
    }
    sums
}

/// A register of words.
#[allow(clippy::needless_range_loop)] // Iterators keep the sums in memory.
#[inline(always)]
fn add_block<S: Simd, const BITS: usize, const MR: usize>(
    simd: S,
    words: S::u32s,
    scale: S::f32s,
    x: &[&[S::f32s]; MR],
    index: usize,
    totals: &mut [S::f32s; MR],
) {
    let per_half = 16 / BITS;
    let (unit, exponent) = (simd.splat_f32s(UNIT), simd.splat_u32s(UNIT.to_bits()));
    let mut sums = [[simd.splat_f32s(0.0); MR]; 2];
    for half in 0..2 {
        let words = match half {
            0 => words,
            _ => simd.wrapping_dyn_shr_u32s(words, simd.splat_u32s(16)),
        };
        for s in 0..per_half {
            let mask = simd.splat_u32s(((1 << BITS) - 1) << (s * BITS));
            let number = simd.or_u32s(simd.and_u32s(words, mask), exponent);
            let number = simd.sub_f32s(simd.transmute_f32s_u32s(number), unit);
            for i in 0..MR {
                let x = x[i][(2 * index + half) * per_half + s];
                sums[half][i] = simd.mul_add_e_f32s(number, x, sums[half][i]);
            }
        }
    }
    for i in 0..MR {
        let sum = simd.add_f32s(sums[0][i], sums[1][i]);
        totals[i] = simd.mul_add_e_f32s(scale, sum, totals[i]);
    }
}

/// The numbers of `x` in the order in which [`add_block`] asks for them, divided by what it counts
/// them, with zeros up to a whole register of words.
#[inline(always)]
fn arrange<S: Simd, const BITS: usize>(x: &[f32]) -> Vec<f32> {
    let (per_word, per_half, lanes) = (32 / BITS, 16 / BITS, S::F32_LANES);
    let mut arranged = vec![0.0; x.len().next_multiple_of(per_word * lanes)];
    let blocks = arranged.chunks_exact_mut(per_word * lanes);
    for (block, x) in blocks.zip(x.chunks(per_word * lanes)) {
        for (k, &x) in x.iter().enumerate() {
            let (lane, number) = (k / per_word, k % per_word);
            let times = (1_u32 << (number % per_half * BITS)) as f32;
            block[number * lanes + lane] = x / times;
        }
    }
    arranged
}
