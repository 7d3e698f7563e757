//! Rows in host memory, a run of numbers at a time.

mod dots;
mod scales;

use super::blocks::{Block, RUN, by_type};
use super::{BlockType, Gguf};
use crate::weight::{Blocks, FewRows, host::Held};
use candle_core::Result;
use metal_candle_cpu::simd::dispatch;
use pulp::{Simd, WithSimd};
use scales::Scales;
use std::ops::Range;

/// A matrix for as long as it is read.
pub(super) struct OnHost<'a> {
    bytes: Held<'a>,
    /// Bytes of a row.
    width: usize,
    block: BlockType,
}

impl<'a> OnHost<'a> {
    pub(super) fn new(packed: &'a Gguf) -> Result<Self> {
        Ok(Self {
            bytes: Held::new(&packed.bytes)?,
            width: packed.bytes.dims()[1],
            block: packed.block,
        })
    }
}

impl Blocks for OnHost<'_> {
    fn read(&self, rows: Range<usize>, columns: Range<usize>, to: &mut [f32]) {
        dispatch(Unpack {
            bytes: &self.bytes.bytes()[rows.start * self.width..rows.end * self.width],
            width: self.width,
            block: self.block,
            columns,
            to,
        });
    }

    fn few_rows(&self, x: &[Vec<f32>]) -> Option<Box<dyn FewRows + '_>> {
        dots::prepare(self, x)
    }
}

/// Some columns of rows, unpacked where they go.
struct Unpack<'a> {
    bytes: &'a [u8],
    width: usize,
    block: BlockType,
    columns: Range<usize>,
    to: &'a mut [f32],
}

impl WithSimd for Unpack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        by_type!(self.block, B => self.rows::<S, B>(simd));
    }
}

impl Unpack<'_> {
    #[inline(always)]
    fn rows<S: Simd, B: Block>(self, simd: S) {
        let to = self.to.chunks_exact_mut(self.columns.len().max(1));
        for (row, to) in self.bytes.chunks_exact(self.width.max(1)).zip(to) {
            numbers::<S, B>(simd, row, self.columns.start, to);
        }
    }
}

/// The numbers of a row from the number `first` on.
#[inline(always)]
fn numbers<S: Simd, B: Block>(simd: S, row: &[u8], first: usize, mut to: &mut [f32]) {
    let mut within = first % B::NUMBERS;
    for block in row[first / B::NUMBERS * B::BYTES..].chunks_exact(B::BYTES) {
        let (part, rest) = to.split_at_mut((B::NUMBERS - within).min(to.len()));
        numbers_of_block::<S, B>(simd, block, within, part);
        (within, to) = (0, rest);
        if to.is_empty() {
            return;
        }
    }
}

/// The numbers of a block from the number `first` on.
#[inline(always)]
fn numbers_of_block<S: Simd, B: Block>(
    simd: S,
    block: &[u8],
    mut first: usize,
    mut to: &mut [f32],
) {
    let scales = Scales::of::<S, B>(simd, block);
    while !to.is_empty() {
        let (run, within) = (first / RUN, first % RUN);
        let (part, rest) = to.split_at_mut((RUN - within).min(to.len()));
        let numbers = scales::numbers::<S, B>(simd, block, &scales, run);
        part.copy_from_slice(&numbers[within..][..part.len()]);
        (first, to) = (first + part.len(), rest);
    }
}
