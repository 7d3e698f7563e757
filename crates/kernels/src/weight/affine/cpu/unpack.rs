//! A block in float32, to the bit what the reference says.

use super::PackedRows;
use crate::weight::groups::each_group;
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Some rows and columns, unpacked where they go.
pub(super) struct Unpack<'a> {
    pub(super) matrix: PackedRows<'a>,
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
    pub(super) to: &'a mut [f32],
}

impl WithSimd for Unpack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        match self.matrix.bits {
            2 => self.each_group(dividing::<2, 16>),
            4 => self.each_group(dividing::<4, 8>),
            8 => self.each_group(dividing::<8, 4>),
            bits => self.each_group(
                #[inline(always)]
                |words, first, to, scale, bias| any(bits, words, first, to, scale, bias),
            ),
        }
    }
}

impl Unpack<'_> {
    /// Calls `unpack` with the words of a row, the first number, its place and the scale and bias of
    /// every group, or part of one.
    #[inline(always)]
    fn each_group(self, unpack: impl Fn(&[u32], usize, &mut [f32], f32, f32)) {
        let Self {
            matrix,
            rows,
            columns,
            to,
        } = self;
        let group = matrix.group;
        let groups = columns.start / group..columns.end.div_ceil(group);
        let (mut scales, mut biases) = (vec![0.0; groups.len()], vec![0.0; groups.len()]);
        for (row, to) in rows.zip(to.chunks_exact_mut(columns.len().max(1))) {
            matrix.factors(row, &groups, [&mut scales, &mut biases]);
            let words = matrix.words(row);
            each_group(
                group,
                &columns,
                to,
                #[inline(always)]
                |index, first, part| {
                    let i = index - groups.start;
                    unpack(words, first, part, scales[i], biases[i]);
                },
            );
        }
    }
}

/// Numbers of which a word holds `PER_WORD`.
#[inline(always)]
fn dividing<const BITS: usize, const PER_WORD: usize>(
    words: &[u32],
    first: usize,
    to: &mut [f32],
    scale: f32,
    bias: f32,
) {
    if !first.is_multiple_of(PER_WORD) || !to.len().is_multiple_of(PER_WORD) {
        return any(BITS, words, first, to, scale, bias);
    }
    let (to, _) = to.as_chunks_mut::<PER_WORD>();
    for (to, word) in to.iter_mut().zip(&words[first / PER_WORD..]) {
        for (i, to) in to.iter_mut().enumerate() {
            let q = word >> (BITS * i) & ((1 << BITS) - 1);
            // Through i32, for which every processor has an instruction.
            *to = scale * q as i32 as f32 + bias;
        }
    }
}

/// Numbers of any bits, which may lie in two words.
#[inline(always)]
fn any(bits: usize, words: &[u32], first: usize, to: &mut [f32], scale: f32, bias: f32) {
    for (i, to) in (first..).zip(to) {
        let (word, shift) = (i * bits / 32, i * bits % 32);
        let next = words.get(word + 1).copied().unwrap_or_default();
        let pair = u64::from(next) << 32 | u64::from(words[word]);
        let q = (pair >> shift) as u32 & ((1 << bits) - 1);
        *to = scale * q as i32 as f32 + bias;
    }
}
