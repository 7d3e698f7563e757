//! Rows in host memory.

use super::Fp8;
use crate::weight::codes::{E4M3, unpack_bytes};
use crate::weight::few;
use crate::weight::groups::{self, UnpackRow, each_group};
use crate::weight::{Blocks, FewRows, host::Held};
use candle_core::Result;
use pulp::bytemuck;
use std::ops::Range;

/// A matrix for as long as it is read.
pub(super) struct OnHost<'a> {
    bytes: Held<'a>,
    scales: Held<'a>,
    block: (usize, usize),
    /// Numbers of a row.
    width: usize,
}

impl<'a> OnHost<'a> {
    pub(super) fn new(packed: &'a Fp8) -> Result<Self> {
        Ok(Self {
            bytes: Held::new(&packed.bytes)?,
            scales: Held::new(&packed.scales)?,
            block: packed.block,
            width: packed.bytes.dims()[1],
        })
    }

    /// A byte that is no number.
    pub(super) fn first_nan(&self) -> Option<u8> {
        let mut bytes = self.bytes.bytes().iter().copied();
        bytes.find(|byte| E4M3[*byte as usize].is_nan())
    }
}

impl UnpackRow for OnHost<'_> {
    #[inline(always)]
    fn unpack(&self, row: usize, columns: Range<usize>, to: &mut [f32]) {
        let bytes = &self.bytes.bytes()[row * self.width..][..self.width];
        let (of_rows, of_columns) = self.block;
        let n_blocks = self.width.div_ceil(of_columns);
        let scales = &self.scales.f32s()[row / of_rows * n_blocks..][..n_blocks];
        each_group(
            of_columns,
            &columns,
            to,
            #[inline(always)]
            |index, first, to| unpack_bytes(&E4M3, &bytes[first..], to, scales[index]),
        );
    }
}

impl Blocks for OnHost<'_> {
    fn read(&self, rows: Range<usize>, columns: Range<usize>, to: &mut [f32]) {
        groups::read(self, rows, columns, to);
    }

    /// Where rows are whole words, and so are blocks.
    fn few_rows(&self, x: &[Vec<f32>]) -> Option<Box<dyn FewRows + '_>> {
        let words = bytemuck::try_cast_slice(self.bytes.bytes()).ok()?;
        let (of_rows, of_columns) = self.block;
        let run = match of_columns {
            columns if columns >= self.width => few::WHOLE_ROW,
            columns if columns.is_power_of_two() && columns >= 8 => (columns / 4).ilog2(),
            _ => return None,
        };
        let n_blocks = self.width.div_ceil(of_columns);
        let scales = self.scales.f32s();
        let coded = few::Coded {
            codes: few::E4M3,
            words,
            width: self.width / 4,
            run,
        };
        match self.width.is_multiple_of(4) {
            true => few::prepare(coded, x, move |rows, to| {
                for (row, to) in rows.zip(to.chunks_exact_mut(n_blocks.max(1))) {
                    to.copy_from_slice(&scales[row / of_rows * n_blocks..][..n_blocks]);
                }
            }),
            false => None,
        }
    }
}
