//! Rows in host memory.

use super::{BnbInt8, PER_STEP};
use crate::weight::few;
use crate::weight::groups::{self, UnpackRow};
use crate::weight::{Blocks, FewRows, host::Held};
use candle_core::Result;
use pulp::bytemuck;
use std::ops::Range;

/// A matrix for as long as it is read.
pub(super) struct OnHost<'a> {
    bytes: Held<'a>,
    scb: Held<'a>,
    /// Numbers of a row.
    width: usize,
}

impl<'a> OnHost<'a> {
    pub(super) fn new(packed: &'a BnbInt8) -> Result<Self> {
        Ok(Self {
            bytes: Held::new(&packed.bytes)?,
            scb: Held::new(&packed.scb)?,
            width: packed.bytes.dims()[1],
        })
    }
}

impl UnpackRow for OnHost<'_> {
    #[inline(always)]
    fn unpack(&self, row: usize, columns: Range<usize>, to: &mut [f32]) {
        let bytes = &self.bytes.bytes()[row * self.width..][columns];
        let largest = self.scb.f32s()[row];
        for (to, byte) in to.iter_mut().zip(bytes) {
            *to = f32::from(*byte as i8) * largest * PER_STEP;
        }
    }
}

impl Blocks for OnHost<'_> {
    fn read(&self, rows: Range<usize>, columns: Range<usize>, to: &mut [f32]) {
        groups::read(self, rows, columns, to);
    }

    /// Where rows are whole words.
    fn few_rows(&self, x: &[Vec<f32>]) -> Option<Box<dyn FewRows + '_>> {
        let words = bytemuck::try_cast_slice(self.bytes.bytes()).ok()?;
        let largest = self.scb.f32s();
        let coded = few::Coded {
            codes: few::Signed,
            words,
            width: self.width / 4,
            run: few::WHOLE_ROW,
        };
        match self.width.is_multiple_of(4) {
            true => few::prepare(coded, x, move |rows, to| {
                for (to, largest) in to.iter_mut().zip(&largest[rows]) {
                    *to = largest * PER_STEP;
                }
            }),
            false => None,
        }
    }
}
