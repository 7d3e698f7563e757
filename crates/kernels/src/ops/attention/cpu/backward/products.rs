//! Products of probabilities, and of gradients of scores, with rows.

use super::scores::Seen;
use super::task::BackwardTask;
use crate::ops::attention::cpu::heads::padded;
use crate::ops::attention::cpu::spans::KEYS;
use crate::ops::attention::cpu::tile::{Left, Right, Tile, panel};
use pulp::Simd;

impl BackwardTask<'_, '_> {
    /// `sums += left^T right` over the queries of a block.
    #[inline(always)]
    pub(super) fn add_to_keys<S: Simd, const M: usize>(
        &self,
        simd: S,
        strips: &[Seen],
        left: &[f32],
        right: Right<'_>,
        sums: &mut [f32],
    ) {
        let width = padded(self.shared.inputs.sizes.width);
        for key in (0..self.keys.len).step_by(M) {
            let sees = |(_, columns): &Seen| columns.start < key + M && columns.end > key;
            let Some(first) = strips.iter().position(sees) else {
                continue;
            };
            let last = strips.iter().rposition(sees).unwrap_or(first);
            let rows = first * M..last * M + strips[last].0.queries.len();
            let left = Left {
                data: &left[rows.start * KEYS + key..],
                rows: self.keys.len - key,
                row: 1,
                step: KEYS,
            };
            let right = Right {
                data: &right.data[rows.start * right.step..],
                step: right.step,
            };
            let sums = &mut sums[key * width..];
            add_product::<S, M>(simd, left, right, rows.len(), (sums, width));
        }
    }

    /// `dq = ds k` of a block.
    #[inline(always)]
    pub(super) fn queries<S: Simd, const M: usize>(
        &self,
        simd: S,
        strips: &[Seen],
        ds: &[f32],
        dq: &mut [f32],
    ) {
        let width = padded(self.shared.inputs.sizes.width);
        for (i, (strip, columns)) in strips.iter().enumerate() {
            let dq = &mut dq[i * M * width..][..M * width];
            dq.fill(0.0);
            if columns.is_empty() {
                continue;
            }
            let seen = self.keys.part(columns);
            let left = Left {
                data: &ds[i * M * KEYS + columns.start..],
                rows: strip.queries.len(),
                row: KEYS,
                step: 1,
            };
            let k = self
                .shared
                .inputs
                .tokens(&self.shared.k, self.kv_head, seen);
            add_product::<S, M>(simd, left, k, seen.len, (dq, width));
        }
    }
}

/// `sums += left right`, where `sums` is `(M, width)`.
#[inline(always)]
fn add_product<S: Simd, const M: usize>(
    simd: S,
    left: Left<'_>,
    right: Right<'_>,
    steps: usize,
    (sums, width): (&mut [f32], usize),
) {
    for column in (0..width).step_by(panel::<S>()) {
        let right = Right {
            data: &right.data[column..],
            step: right.step,
        };
        let sums = &mut sums[column..];
        let tile = Tile::<S, M>::load(simd, sums, width);
        tile.plus(simd, left, right, steps).store(sums, width);
    }
}
