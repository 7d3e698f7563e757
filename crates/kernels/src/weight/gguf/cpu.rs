//! Rows in host memory, a run of numbers at a time.

mod dots;

use super::blocks::{Block, RUN, by_type};
use super::{BlockType, Gguf};
use crate::weight::{Blocks, FewRows, host::Held};
use candle_core::Result;
use metal_candle_cpu::simd::dispatch;
use pulp::{Simd, WithSimd};
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
    fn with_simd<S: Simd>(self, _: S) {
        by_type!(self.block, B => self.rows::<B>());
    }
}

impl Unpack<'_> {
    #[inline(always)]
    fn rows<B: Block>(self) {
        let to = self.to.chunks_exact_mut(self.columns.len().max(1));
        for (row, to) in self.bytes.chunks_exact(self.width.max(1)).zip(to) {
            numbers::<B>(row, self.columns.clone(), to);
        }
    }
}

/// Some numbers of a row.
#[inline(always)]
fn numbers<B: Block>(row: &[u8], columns: Range<usize>, mut to: &mut [f32]) {
    let mut first = columns.start;
    while first < columns.end {
        let (part, rest) = to.split_at_mut((RUN - first % RUN).min(columns.end - first));
        run::<B>(row, first, part);
        (first, to) = (first + part.len(), rest);
    }
}

/// A run of a row from the number `first` on, or a part of it.
#[inline(always)]
fn run<B: Block>(row: &[u8], first: usize, to: &mut [f32]) {
    let (per_block, run) = (B::NUMBERS / RUN, first / RUN);
    let block = &row[run / per_block * B::BYTES..][..B::BYTES];
    if let (RUN, Some(whole)) = (to.len(), to.first_chunk_mut()) {
        return B::run(block, run % per_block, whole);
    }
    let mut whole = [0.0; RUN];
    B::run(block, run % per_block, &mut whole);
    to.copy_from_slice(&whole[first % RUN..][..to.len()]);
}
