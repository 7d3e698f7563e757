//! Rows of `x` as codes are decoded, made once for a product, whatever its threads.

use super::Codes;
use pulp::{Simd, WithSimd};

/// Rows to be arranged for codes.
pub(super) struct Arrange<'a, const PER_WORD: usize, C> {
    pub(super) x: &'a [Vec<f32>],
    pub(super) codes: &'a C,
}

impl<const PER_WORD: usize, C: Codes<PER_WORD>> WithSimd for Arrange<'_, PER_WORD, C> {
    type Output = Vec<Vec<f32>>;

    /// The numbers that every register of words meets, register by register of what is decoded; zeros up to a whole one.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Vec<Vec<f32>> {
        let places = self.places::<S>();
        let arranged = self.x.iter().map(|x| arranged(x, &places));
        arranged.collect()
    }
}

impl<const PER_WORD: usize, C: Codes<PER_WORD>> Arrange<'_, PER_WORD, C> {
    /// Number of those of a register of words that every lane of the decoded registers has.
    fn places<S: Simd>(&self) -> Vec<usize> {
        let lanes = (0..PER_WORD * S::F32_LANES).map(|i| (i / S::F32_LANES, i % S::F32_LANES));
        let places = lanes.map(|(register, lane)| {
            let (word, number) = self.codes.place::<S>(register, lane);
            word * PER_WORD + number
        });
        places.collect()
    }
}

fn arranged(x: &[f32], places: &[usize]) -> Vec<f32> {
    let block = places.len();
    let mut arranged = vec![0.0; x.len().next_multiple_of(block)];
    let mut last = vec![0.0; block];
    for (to, mut x) in arranged.chunks_exact_mut(block).zip(x.chunks(block)) {
        if x.len() < block {
            last[..x.len()].copy_from_slice(x);
            x = &last;
        }
        for (to, place) in to.iter_mut().zip(places) {
            *to = x[*place];
        }
    }
    arranged
}
