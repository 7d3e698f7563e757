//! Rows in host memory.

mod arranged;
mod dots;
mod unpack;
mod whole;

use super::Affine;
use crate::weight::{Blocks, FewRows, host::Held};
use candle_core::Result;
use metal_candle_cpu::floats::Floats;
use metal_candle_cpu::simd::dispatch;
use metal_candle_cpu::vector::whole::Whole;
use std::ops::Range;

/// Rows of `x` that share each number of the matrix while it is in a register.
const MOST_ROWS: usize = 4;

/// Rows of the matrix whose scales and biases are widened at a time.
const ROWS: usize = 16;

/// A matrix for as long as it is read.
pub(super) struct OnHost<'a> {
    words: Held<'a>,
    scales: Held<'a>,
    biases: Held<'a>,
    bits: usize,
    group: usize,
    /// Groups of a row.
    n_groups: usize,
}

impl<'a> OnHost<'a> {
    pub(super) fn new(packed: &'a Affine) -> Result<Self> {
        Ok(Self {
            words: Held::new(&packed.words)?,
            scales: Held::new(&packed.scales)?,
            biases: Held::new(&packed.biases)?,
            bits: packed.bits,
            group: packed.group,
            n_groups: packed.scales.dims()[1],
        })
    }

    fn rows(&self) -> PackedRows<'_> {
        PackedRows {
            words: self.words.words(),
            scales: self.scales.floats(),
            biases: self.biases.floats(),
            bits: self.bits,
            group: self.group,
            n_groups: self.n_groups,
        }
    }
}

impl Blocks for OnHost<'_> {
    fn read(&self, rows: Range<usize>, columns: Range<usize>, to: &mut [f32]) {
        dispatch(unpack::Unpack {
            matrix: self.rows(),
            rows,
            columns,
            to,
        });
    }

    fn few_rows(&self, x: &[Vec<f32>]) -> Option<Box<dyn FewRows + '_>> {
        if x.len() > MOST_ROWS || ![2, 4, 8].contains(&self.bits) {
            return None;
        }
        let arrange = arranged::Arrange {
            x,
            bits: self.bits,
            group: self.group,
        };
        let matrix = self.rows();
        let x = match whole::rows(x, matrix) {
            Some(rows) => Rows::Whole(rows),
            None => Rows::Floats(dispatch(arrange)),
        };
        Some(Box::new(Prepared { matrix, x }))
    }
}

/// A few rows, ready to be multiplied with the matrix.
struct Prepared<'a> {
    matrix: PackedRows<'a>,
    x: Rows,
}

/// Rows as they are multiplied.
enum Rows {
    Floats(Vec<arranged::Arranged>),
    Whole(Vec<Whole>),
}

impl FewRows for Prepared<'_> {
    fn products(&self, rows: Range<usize>, to: &mut [f32]) {
        let matrix = self.matrix;
        match &self.x {
            Rows::Floats(x) => dispatch(Dots {
                matrix,
                x,
                rows,
                to,
            }),
            Rows::Whole(x) => dispatch(Dots {
                matrix,
                x,
                rows,
                to,
            }),
        }
    }
}

/// Dot products of all of `x` with some rows of the matrix.
struct Dots<'a, X> {
    matrix: PackedRows<'a>,
    x: &'a [X],
    rows: Range<usize>,
    /// Products of every row of `x`, one after the other.
    to: &'a mut [f32],
}

/// The memory of a matrix.
#[derive(Clone, Copy)]
struct PackedRows<'a> {
    words: &'a [u32],
    scales: Floats<'a>,
    biases: Floats<'a>,
    bits: usize,
    group: usize,
    n_groups: usize,
}

impl<'a> PackedRows<'a> {
    /// The words of a row.
    #[inline(always)]
    fn words(&self, row: usize) -> &'a [u32] {
        self.words_of_rows(row..row + 1)
    }

    /// The words of whole rows.
    #[inline(always)]
    fn words_of_rows(&self, rows: Range<usize>) -> &'a [u32] {
        let width = self.n_groups * self.group * self.bits / 32;
        &self.words[rows.start * width..rows.end * width]
    }

    /// Scales and biases of some groups of a row.
    #[inline(always)]
    fn factors(&self, row: usize, groups: &Range<usize>, to: [&mut [f32]; 2]) {
        let first = row * self.n_groups;
        self.widened(first + groups.start..first + groups.end, to);
    }

    /// Scales and biases of whole rows.
    #[inline(always)]
    fn factors_of_rows(&self, rows: Range<usize>, to: [&mut [f32]; 2]) {
        self.widened(rows.start * self.n_groups..rows.end * self.n_groups, to);
    }

    /// Asks for scales and biases of rows that are about to be read, as far as there are such rows.
    #[inline(always)]
    fn ask_for_factors(&self, rows: Range<usize>) {
        for factors in [self.scales, self.biases] {
            factors.ask_for(rows.start * self.n_groups..rows.end * self.n_groups);
        }
    }

    #[inline(always)]
    fn widened(&self, part: Range<usize>, [scales, biases]: [&mut [f32]; 2]) {
        self.scales.part(part.clone()).widen_all(scales);
        self.biases.part(part).widen_all(biases);
    }
}
