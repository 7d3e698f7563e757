//! Rows in host memory.

use super::Bnb4bit;
use crate::weight::codes::{First, Pairs, unpack_pairs};
use crate::weight::few;
use crate::weight::groups::{self, UnpackRow, each_group};
use crate::weight::{Blocks, FewRows, host::Held};
use candle_core::Result;
use metal_candle_cpu::vector::table;
use pulp::bytemuck;
use std::ops::Range;

/// A matrix for as long as it is read.
pub(super) struct OnHost<'a> {
    pairs: &'a Pairs,
    bytes: Held<'a>,
    absmax: Held<'a>,
    nested: Option<Nested<'a>>,
    block: usize,
    /// Numbers of a row.
    width: usize,
}

/// Codes in a word.
const CODES_OF_WORD: usize = 8;

struct Nested<'a> {
    absmax: Held<'a>,
    quant_map: Held<'a>,
    block: usize,
    offset: f32,
}

impl<'a> OnHost<'a> {
    pub(super) fn new(packed: &'a Bnb4bit) -> Result<Self> {
        let nested = packed.parts.nested.as_ref().map(|nested| {
            Ok::<_, candle_core::Error>(Nested {
                absmax: Held::new(&nested.absmax)?,
                quant_map: Held::new(&nested.quant_map)?,
                block: nested.block,
                offset: nested.offset,
            })
        });
        Ok(Self {
            pairs: &packed.pairs,
            bytes: Held::new(&packed.parts.bytes)?,
            absmax: Held::new(&packed.parts.absmax)?,
            nested: nested.transpose()?,
            block: packed.block,
            width: packed.dims.1,
        })
    }

    /// Largest magnitude of a block.
    #[inline(always)]
    fn absmax(&self, block: usize) -> f32 {
        match &self.nested {
            None => self.absmax.f32s()[block],
            Some(nested) => {
                let code = self.absmax.bytes()[block];
                let value = nested.quant_map.f32s()[code as usize];
                value * nested.absmax.f32s()[block / nested.block] + nested.offset
            }
        }
    }
}

impl OnHost<'_> {
    /// Largest magnitudes of the blocks from `first` on.
    fn absmax_of(&self, first: usize, to: &mut [f32]) {
        match &self.nested {
            None => to.copy_from_slice(&self.absmax.f32s()[first..][..to.len()]),
            Some(_) => {
                for (block, to) in (first..).zip(to) {
                    *to = self.absmax(block);
                }
            }
        }
    }
}

impl UnpackRow for OnHost<'_> {
    #[inline(always)]
    fn unpack(&self, row: usize, columns: Range<usize>, to: &mut [f32]) {
        let start = row * self.width;
        let numbers = start + columns.start..start + columns.end;
        let bytes = self.bytes.bytes();
        each_group(
            self.block,
            &numbers,
            to,
            #[inline(always)]
            |block, first, to| unpack_pairs(self.pairs, bytes, first, to, self.absmax(block)),
        );
    }
}

impl Blocks for OnHost<'_> {
    fn read(&self, rows: Range<usize>, columns: Range<usize>, to: &mut [f32]) {
        groups::read(self, rows, columns, to);
    }

    /// Where no block runs across the ends of rows, and words lie in whole blocks.
    fn few_rows(&self, x: &[Vec<f32>]) -> Option<Box<dyn FewRows + '_>> {
        let words = bytemuck::try_cast_slice(self.bytes.bytes()).ok()?;
        let is_whole = self.width.is_multiple_of(self.block);
        if !is_whole || !self.block.is_power_of_two() || self.block < CODES_OF_WORD {
            return None;
        }
        let blocks = self.width / self.block;
        let coded = few::Coded {
            codes: few::Sixteen::<false> {
                // Second codes of the bytes whose first is zero.
                table: table::Sixteen::new(std::array::from_fn(|code| self.pairs[code][1])),
                first: First::High,
            },
            words,
            width: self.width / CODES_OF_WORD,
            run: (self.block / CODES_OF_WORD).ilog2(),
        };
        few::prepare(coded, x, move |rows, to| {
            self.absmax_of(rows.start * blocks, to);
        })
    }
}
