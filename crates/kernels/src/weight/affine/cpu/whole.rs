//! A few rows times the matrix in whole numbers, where the processor multiplies bytes.

use super::{Dots, PackedRows, ROWS};
use metal_candle_cpu::simd::dispatch;
use metal_candle_cpu::vector::whole::{self, Factors, Layout, ToWhole, Whole};
use pulp::{Simd, WithSimd};

/// Rows of `x` as whole numbers; `None` where the processor or the matrix has none, or a number is not finite.
pub(super) fn rows(x: &[Vec<f32>], matrix: PackedRows<'_>) -> Option<Vec<Whole>> {
    let layout = Layout {
        bits: matrix.bits,
        group: matrix.group,
    };
    match [2, 4].contains(&layout.bits) && whole::is_available() {
        true => dispatch(ToWhole { x, layout }),
        false => None,
    }
}

impl WithSimd for Dots<'_, Whole> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let n_groups = self.matrix.n_groups;
        let mut scales = vec![0.0; ROWS * n_groups + whole::BEHIND];
        let mut biases = vec![0.0; ROWS * n_groups];
        let n_rows = self.rows.len();
        for first in (0..n_rows).step_by(ROWS) {
            let count = ROWS.min(n_rows - first);
            let rows = self.rows.start + first..self.rows.start + first + count;
            let used = count * n_groups;
            self.matrix.ask_for_factors(rows.end..rows.end + ROWS);
            let factors = [&mut scales[..used], &mut biases[..used]];
            self.matrix.factors_of_rows(rows.clone(), factors);
            let factors = Factors {
                scales: &scales,
                offsets: &biases[..used],
            };
            let words = self.matrix.words_of_rows(rows);
            for (x, to) in self.x.iter().zip(self.to.chunks_exact_mut(n_rows)) {
                x.dots(words, factors, &mut to[first..first + count]);
            }
        }
    }
}
