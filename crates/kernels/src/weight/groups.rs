//! Numbers of a row in groups, each with factors of its own, and reading them.

use metal_candle_cpu::simd::dispatch;
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Rows that are unpacked number by number, or group by group.
pub(super) trait UnpackRow: Sync {
    /// Writes the numbers of some columns of a row. It must be `#[inline(always)]`, to be compiled for
    /// the instructions that the processor has.
    fn unpack(&self, row: usize, columns: Range<usize>, to: &mut [f32]);
}

/// Writes the numbers of some rows and columns, row after row.
pub(super) fn read(
    matrix: &impl UnpackRow,
    rows: Range<usize>,
    columns: Range<usize>,
    to: &mut [f32],
) {
    dispatch(Read {
        matrix,
        rows,
        columns,
        to,
    });
}

struct Read<'a, R> {
    matrix: &'a R,
    rows: Range<usize>,
    columns: Range<usize>,
    to: &'a mut [f32],
}

impl<R: UnpackRow> WithSimd for Read<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let width = self.columns.len().max(1);
        for (row, to) in self.rows.zip(self.to.chunks_exact_mut(width)) {
            self.matrix.unpack(row, self.columns.clone(), to);
        }
    }
}

/// Cuts `to`, which has the numbers `numbers`, at the ends of groups: calls `unpack` with the index of
/// each group, the first number of it that is wanted, and its place.
#[inline(always)]
pub(super) fn each_group(
    group: usize,
    numbers: &Range<usize>,
    mut to: &mut [f32],
    mut unpack: impl FnMut(usize, usize, &mut [f32]),
) {
    let mut first = numbers.start;
    for index in numbers.start / group..numbers.end.div_ceil(group) {
        let end = numbers.end.min((index + 1) * group);
        let (part, rest) = to.split_at_mut(end - first);
        unpack(index, first, part);
        (first, to) = (end, rest);
    }
}
