//! A few rows times a matrix of codes, such as a token: dot products that read the codes as they are stored.
//!
//! A lane takes the codes of a word. All codes of a register of words are decoded at once and multiplied with the numbers of
//! `x` that they meet, and the sums of lanes are multiplied by the factor that their words share.

mod arranged;
mod codes;
mod dots;
#[cfg(test)]
mod tests;

pub(super) use codes::{Codes, E4M3, Signed, Sixteen};

use super::FewRows;
use metal_candle_cpu::simd::dispatch;
use std::ops::Range;

/// Rows of `x` that share each number of the matrix while it is in a register.
const MOST_ROWS: usize = 4;

/// Words that are asked for ahead of their use, as many as for the affine format (docs/log/packed.md).
const AHEAD: usize = 512;

/// Groups of a register of words at most.
const MOST_GROUPS: usize = 8;

/// Words that share a factor where all of a row does.
pub(super) const WHOLE_ROW: u32 = usize::BITS - 1;

/// A matrix of codes, words of them row after row.
pub(super) struct Coded<'a, C> {
    pub(super) codes: C,
    pub(super) words: &'a [u32],
    /// Words of a row.
    pub(super) width: usize,
    /// Binary logarithm of the number of words that share a factor, two at least, or [`WHOLE_ROW`].
    pub(super) run: u32,
}

impl<'a, C> Coded<'a, C> {
    /// The words of a row.
    #[inline(always)]
    fn row(&self, row: usize) -> &'a [u32] {
        &self.words[row * self.width..][..self.width]
    }
}

/// Writes the factors of the words of some rows, row after row.
type Factors<'a> = Box<dyn Fn(Range<usize>, &mut [f32]) + Sync + 'a>;

/// Rows prepared for a matrix with `factors`, where they are few enough.
pub(super) fn prepare<'a, const PER_WORD: usize, C: Codes<PER_WORD> + 'a>(
    matrix: Coded<'a, C>,
    x: &[Vec<f32>],
    factors: impl Fn(Range<usize>, &mut [f32]) + Sync + 'a,
) -> Option<Box<dyn FewRows + 'a>> {
    if x.len() > MOST_ROWS || matrix.run == 0 {
        return None;
    }
    let codes = &matrix.codes;
    let x = dispatch(arranged::Arrange::<PER_WORD, _> { x, codes });
    let factors = Box::new(factors);
    Some(Box::new(Prepared { matrix, factors, x }))
}

/// A few rows, ready to be multiplied with the matrix.
struct Prepared<'a, const PER_WORD: usize, C> {
    matrix: Coded<'a, C>,
    factors: Factors<'a>,
    x: Vec<Vec<f32>>,
}

impl<const PER_WORD: usize, C> Prepared<'_, PER_WORD, C> {
    /// Factors of a row.
    fn n_factors(&self) -> usize {
        self.matrix.width.div_ceil(1 << self.matrix.run)
    }
}

impl<const PER_WORD: usize, C: Codes<PER_WORD>> FewRows for Prepared<'_, PER_WORD, C> {
    fn products(&self, rows: Range<usize>, to: &mut [f32]) {
        dispatch(dots::Dots {
            few: self,
            rows,
            to,
        });
    }
}
