//! A few rows times a matrix of codes, such as a token: dot products that read the codes as they are stored.
//!
//! A lane takes the codes of a word. Those at one place of all words are decoded at once and multiplied with the numbers
//! of `x` that they meet, and what comes of a word is multiplied by the factor that its numbers share.

mod codes;
#[cfg(test)]
mod tests;

pub(super) use codes::{Codes, E4M3, Signed, Sixteen};

use super::FewRows;
use metal_candle_cpu::simd::{Cache, dispatch, prefetch};
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Rows of `x` that share each number of the matrix while it is in a register.
const MOST_ROWS: usize = 4;

/// Words that are asked for ahead of their use, as many as for the affine format (docs/log/packed.md).
const AHEAD: usize = 512;

/// Floats of the widest registers.
const MOST_LANES: usize = 16;

/// Words that share a factor where all of a row does.
pub(super) const WHOLE_ROW: u32 = usize::BITS - 1;

/// A matrix of codes, words of them row after row.
pub(super) struct Coded<'a, C> {
    pub(super) codes: C,
    pub(super) words: &'a [u32],
    /// Words of a row.
    pub(super) width: usize,
    /// Binary logarithm of the number of words that share a factor, or [`WHOLE_ROW`].
    pub(super) run: u32,
}

/// Rows prepared for a matrix, where they are few enough. `factor` is that of a row and a run of its words; it must be
/// `#[inline(always)]`.
pub(super) fn prepare<'a, const PER_WORD: usize, C, F>(
    matrix: Coded<'a, C>,
    x: &[Vec<f32>],
    factor: F,
) -> Option<Box<dyn FewRows + 'a>>
where
    C: Codes<PER_WORD> + 'a,
    F: Fn(usize, usize) -> f32 + Sync + 'a,
{
    if x.len() > MOST_ROWS {
        return None;
    }
    let codes = matrix.codes;
    let x = dispatch(Arrange::<PER_WORD, _> { x, codes });
    Some(Box::new(Prepared::<PER_WORD, C, F> { matrix, factor, x }))
}

/// Arranges the numbers of every register of words: those that meet the first codes of all words, those that meet the
/// second, and so on; zeros up to a whole register.
struct Arrange<'a, const PER_WORD: usize, C> {
    x: &'a [Vec<f32>],
    codes: C,
}

impl<const PER_WORD: usize, C: Codes<PER_WORD>> WithSimd for Arrange<'_, PER_WORD, C> {
    type Output = Vec<Vec<f32>>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Vec<Vec<f32>> {
        let block = PER_WORD * S::F32_LANES;
        let mut rows = Vec::with_capacity(self.x.len());
        for x in self.x {
            let mut arranged = vec![0.0; x.len().next_multiple_of(block)];
            for (to, x) in arranged.chunks_exact_mut(block).zip(x.chunks(block)) {
                let words = x.as_chunks::<PER_WORD>().0;
                for (code, to) in to.chunks_exact_mut(S::F32_LANES).enumerate() {
                    let number = self.codes.number(code);
                    for (to, word) in to.iter_mut().zip(words) {
                        *to = word[number];
                    }
                }
            }
            rows.push(arranged);
        }
        rows
    }
}

/// A few rows, ready to be multiplied with the matrix.
struct Prepared<'a, const PER_WORD: usize, C, F> {
    matrix: Coded<'a, C>,
    factor: F,
    x: Vec<Vec<f32>>,
}

impl<const PER_WORD: usize, C, F> FewRows for Prepared<'_, PER_WORD, C, F>
where
    C: Codes<PER_WORD>,
    F: Fn(usize, usize) -> f32 + Sync,
{
    fn products(&self, rows: Range<usize>, to: &mut [f32]) {
        dispatch(Dots {
            few: self,
            rows,
            to,
        });
    }
}

/// Dot products of a few rows with some of the matrix.
struct Dots<'a, 'm, const PER_WORD: usize, C, F> {
    few: &'a Prepared<'m, PER_WORD, C, F>,
    rows: Range<usize>,
    /// Products of every row of `x`, one after the other.
    to: &'a mut [f32],
}

impl<const PER_WORD: usize, C, F> WithSimd for Dots<'_, '_, PER_WORD, C, F>
where
    C: Codes<PER_WORD>,
    F: Fn(usize, usize) -> f32,
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.few.x.len() {
            1 => simd.vectorize(OfSize::<PER_WORD, 1, C, F>(self)),
            2 => simd.vectorize(OfSize::<PER_WORD, 2, C, F>(self)),
            _ => simd.vectorize(OfSize::<PER_WORD, MOST_ROWS, C, F>(self)),
        }
    }
}

/// Products whose rows the compiler knows: of each choice a function of its own.
struct OfSize<'a, 'm, const PER_WORD: usize, const MR: usize, C, F>(Dots<'a, 'm, PER_WORD, C, F>);

impl<const PER_WORD: usize, const MR: usize, C, F> WithSimd for OfSize<'_, '_, PER_WORD, MR, C, F>
where
    C: Codes<PER_WORD>,
    F: Fn(usize, usize) -> f32,
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
        let n_rows = rows.len();
        for (j, row) in rows.enumerate() {
            let dots = few.dots(simd, row, x);
            for (to, dot) in to[j..].iter_mut().step_by(n_rows).zip(dots) {
                *to = dot;
            }
        }
    }
}

/// A row of `x` in registers, those that meet a register of words together.
#[inline(always)]
fn registers<S: Simd, const PER_WORD: usize>(x: &[f32]) -> &[[S::f32s; PER_WORD]] {
    S::as_simd_f32s(x).0.as_chunks().0
}

impl<const PER_WORD: usize, C, F> Prepared<'_, PER_WORD, C, F>
where
    C: Codes<PER_WORD>,
    F: Fn(usize, usize) -> f32,
{
    /// Dot products of rows with one of the matrix.
    #[inline(always)]
    fn dots<S: Simd, const MR: usize>(
        &self,
        simd: S,
        row: usize,
        x: [&[[S::f32s; PER_WORD]]; MR],
    ) -> [f32; MR] {
        let Coded { codes, width, .. } = self.matrix;
        let words = &self.matrix.words[row * width..][..width];
        let mut totals = [simd.splat_f32s(0.0); MR];
        let (whole, rest) = S::as_simd_u32s(words);
        for (i, register) in whole.iter().enumerate() {
            let ahead = std::ptr::from_ref(register).cast::<u32>();
            prefetch(ahead.wrapping_add(AHEAD), Cache::First);
            let factors = self.factors(simd, row, i * S::F32_LANES, S::F32_LANES);
            add(simd, codes, *register, at(x, i), factors, &mut totals);
        }
        if !rest.is_empty() {
            let (register, i) = (simd.partial_load_u32s(rest), whole.len());
            let factors = self.factors(simd, row, i * S::F32_LANES, rest.len());
            add(simd, codes, register, at(x, i), factors, &mut totals);
        }
        let mut dots = [0.0; MR];
        for (dot, total) in dots.iter_mut().zip(totals) {
            *dot = simd.reduce_sum_f32s(total);
        }
        dots
    }

    /// Factors of the words from `first` on, in the lanes that are used.
    #[inline(always)]
    fn factors<S: Simd>(&self, simd: S, row: usize, first: usize, used: usize) -> S::f32s {
        let run = self.matrix.run;
        if run >= S::F32_LANES.ilog2() {
            return simd.splat_f32s((self.factor)(row, first >> run));
        }
        let mut factors = [0.0; MOST_LANES];
        for (i, to) in factors[..used].chunks_mut(1 << run).enumerate() {
            to.fill((self.factor)(row, (first >> run) + i));
        }
        S::as_simd_f32s(&factors).0[0]
    }
}

/// The numbers of all rows that meet the words of a register.
#[allow(clippy::needless_range_loop)] // Iterators keep the numbers in memory.
#[inline(always)]
fn at<T, const MR: usize>(x: [&[T]; MR], index: usize) -> [&T; MR] {
    let mut of_register = [&x[0][index]; MR];
    for i in 1..MR {
        of_register[i] = &x[i][index];
    }
    of_register
}

/// Adds the products with a register of words.
#[allow(clippy::needless_range_loop)] // Iterators keep the sums in memory.
#[inline(always)]
fn add<S: Simd, C: Codes<PER_WORD>, const PER_WORD: usize, const MR: usize>(
    simd: S,
    codes: C,
    words: S::u32s,
    x: [&[S::f32s; PER_WORD]; MR],
    factors: S::f32s,
    totals: &mut [S::f32s; MR],
) {
    let mut sums = [[simd.splat_f32s(0.0); 2]; MR];
    for code in 0..PER_WORD {
        let numbers = codes.decode(simd, words, code);
        for i in 0..MR {
            sums[i][code % 2] = simd.mul_add_e_f32s(numbers, x[i][code], sums[i][code % 2]);
        }
    }
    for i in 0..MR {
        let sum = simd.add_f32s(sums[i][0], sums[i][1]);
        totals[i] = simd.mul_add_e_f32s(sum, factors, totals[i]);
    }
}
