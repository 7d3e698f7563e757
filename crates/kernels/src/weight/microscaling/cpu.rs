//! Rows in host memory.

use super::{Kind, Microscaled};
use crate::weight::codes::{self, First, Pairs};
use crate::weight::few;
use crate::weight::groups::{self, UnpackRow, each_group};
use crate::weight::{Blocks, FewRows, host::Held};
use candle_core::Result;
use metal_candle_cpu::simd::dispatch;
use metal_candle_cpu::vector::table;
use pulp::{Simd, WithSimd, bytemuck};
use std::ops::Range;

static PAIRS: Pairs = codes::pairs(&codes::E2M1, First::Low);

const SIXTEEN: few::Sixteen<true> = few::Sixteen {
    table: table::Sixteen::new(codes::E2M1),
    first: First::Low,
};

/// A matrix for as long as it is read.
pub(super) struct OnHost<'a> {
    kind: Kind,
    words: Held<'a>,
    scales: Held<'a>,
    /// Numbers of a row.
    width: usize,
}

impl<'a> OnHost<'a> {
    pub(super) fn new(packed: &'a Microscaled) -> Result<Self> {
        Ok(Self {
            kind: packed.kind,
            words: Held::new(&packed.words)?,
            scales: Held::new(&packed.scales)?,
            width: packed.scales.dims()[1] * packed.kind.group(),
        })
    }

    /// Words of a processor that stores the least significant byte first, as those of today do.
    #[inline(always)]
    fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(self.words.words())
    }

    /// First byte that is no number, and what it is in.
    pub(super) fn first_nan(&self) -> Option<(&'static str, u8)> {
        let is_nan = |table: &codes::Table, byte: &u8| table[*byte as usize].is_nan();
        let find = |table: &codes::Table, bytes: &[u8]| {
            bytes.iter().copied().find(|byte| is_nan(table, byte))
        };
        let scale = find(self.kind.scales(), self.scales.bytes());
        let number = || match self.kind.bits() {
            8 => find(&codes::E4M3, self.bytes()),
            _ => None,
        };
        let scale = scale.map(|byte| ("a scale", byte));
        scale.or_else(|| number().map(|byte| ("an element", byte)))
    }
}

impl UnpackRow for OnHost<'_> {
    #[inline(always)]
    fn unpack(&self, row: usize, columns: Range<usize>, to: &mut [f32]) {
        let start = row * self.width;
        let numbers = start + columns.start..start + columns.end;
        let (bytes, scales, values) = (self.bytes(), self.scales.bytes(), self.kind.scales());
        each_group(
            self.kind.group(),
            &numbers,
            to,
            #[inline(always)]
            |index, first, to| {
                let scale = values[scales[index] as usize];
                match self.kind.bits() {
                    4 => codes::unpack_pairs(&PAIRS, bytes, first, to, scale),
                    _ => codes::unpack_bytes(&codes::E4M3, &bytes[first..], to, scale),
                }
            },
        );
    }
}

impl Blocks for OnHost<'_> {
    fn read(&self, rows: Range<usize>, columns: Range<usize>, to: &mut [f32]) {
        groups::read(self, rows, columns, to);
    }

    fn few_rows(&self, x: &[Vec<f32>]) -> Option<Box<dyn FewRows + '_>> {
        match self.kind.bits() {
            4 => self.prepare(SIXTEEN, x),
            _ => self.prepare(few::E4M3, x),
        }
    }
}

impl OnHost<'_> {
    fn prepare<const PER_WORD: usize>(
        &self,
        codes: impl few::Codes<PER_WORD> + 'static,
        x: &[Vec<f32>],
    ) -> Option<Box<dyn FewRows + '_>> {
        let n_groups = self.width / self.kind.group();
        let (scales, kind) = (self.scales.bytes(), self.kind);
        let coded = few::Coded {
            codes,
            words: self.words.words(),
            width: self.width / PER_WORD,
            run: (self.kind.group() / PER_WORD).ilog2(),
        };
        few::prepare(coded, x, move |rows, to| {
            let bytes = &scales[rows.start * n_groups..rows.end * n_groups];
            dispatch(Scales { kind, bytes, to });
        })
    }
}

/// Scales that are bytes, as floats.
struct Scales<'a> {
    kind: Kind,
    bytes: &'a [u8],
    to: &'a mut [f32],
}

impl WithSimd for Scales<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let scales = self.to.iter_mut().zip(self.bytes);
        match self.kind {
            Kind::Nvfp4 => scales.for_each(
                #[inline(always)]
                |(to, byte)| *to = codes::e4m3(*byte),
            ),
            Kind::Mxfp4 | Kind::Mxfp8 => scales.for_each(
                #[inline(always)]
                |(to, byte)| *to = codes::e8m0(*byte),
            ),
        }
    }
}
