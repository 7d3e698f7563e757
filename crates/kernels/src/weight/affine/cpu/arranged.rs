//! Rows of `x` as `dots.rs` multiplies with them: made once for a product, whatever its threads.

use pulp::{Simd, WithSimd};

/// One row.
pub(super) struct Arranged {
    /// Numbers of every register of words: those of the first number of each word, those of the second,
    /// and so on, divided by what a number counts there; zeros up to a whole register.
    pub(super) numbers: Vec<f32>,
    /// Sums of the numbers of each group.
    pub(super) sums: Vec<f32>,
}

/// Arranges rows.
pub(super) struct Arrange<'a> {
    pub(super) x: &'a [Vec<f32>],
    pub(super) bits: usize,
    pub(super) group: usize,
}

impl WithSimd for Arrange<'_> {
    type Output = Vec<Arranged>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Vec<Arranged> {
        let mut rows = Vec::with_capacity(self.x.len());
        for x in self.x {
            let mut sums = vec![0.0; x.len().div_ceil(self.group)];
            for (sum, group) in sums.iter_mut().zip(x.chunks(self.group)) {
                *sum = group.iter().sum();
            }
            let numbers = match self.bits {
                2 => numbers::<S, 2, 16>(x),
                4 => numbers::<S, 4, 8>(x),
                _ => numbers::<S, 8, 4>(x),
            };
            rows.push(Arranged { numbers, sums });
        }
        rows
    }
}

#[inline(always)]
fn numbers<S: Simd, const BITS: usize, const PER_WORD: usize>(x: &[f32]) -> Vec<f32> {
    let block = PER_WORD * S::F32_LANES;
    let mut arranged = vec![0.0; x.len().next_multiple_of(block)];
    for (to, x) in arranged.chunks_exact_mut(block).zip(x.chunks(block)) {
        let words = x.as_chunks::<PER_WORD>().0;
        for (number, to) in to.chunks_exact_mut(S::F32_LANES).enumerate() {
            let times = (1_u32 << (number % (PER_WORD / 2) * BITS)) as f32;
            for (to, word) in to.iter_mut().zip(words) {
                *to = word[number] / times;
            }
        }
    }
    arranged
}
