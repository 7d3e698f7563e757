//! Numbers of tensors in host memory, of any float dtype but f64, which kernels read as float32.

use crate::simd::{Cache, prefetch};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use std::ops::Range;

/// Numbers side by side.
#[derive(Clone, Copy)]
pub enum Floats<'a> {
    /// float32.
    F32(&'a [f32]),
    /// float16.
    F16(&'a [f16]),
    /// bfloat16.
    Bf16(&'a [bf16]),
}

impl<'a> Floats<'a> {
    /// Some of them.
    #[inline(always)]
    pub fn part(self, range: Range<usize>) -> Self {
        match self {
            Self::F32(data) => Self::F32(&data[range]),
            Self::F16(data) => Self::F16(&data[range]),
            Self::Bf16(data) => Self::Bf16(&data[range]),
        }
    }

    /// Asks for the lines of some of them, as far as there are any, to be in the first cache.
    #[inline(always)]
    pub fn ask_for(self, range: Range<usize>) {
        match self {
            Self::F32(data) => ask_for(data, range),
            Self::F16(data) => ask_for(data, range),
            Self::Bf16(data) => ask_for(data, range),
        }
    }

    /// The number of them.
    pub fn len(self) -> usize {
        match self {
            Self::F32(data) => data.len(),
            Self::F16(data) => data.len(),
            Self::Bf16(data) => data.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// All of them as float32.
    #[inline(always)]
    pub fn widen_all(self, to: &mut [f32]) {
        match self {
            Self::F32(data) => Element::widen_all(data, to),
            Self::F16(data) => Element::widen_all(data, to),
            Self::Bf16(data) => Element::widen_all(data, to),
        }
    }
}

/// Bytes of a line of a cache.
const LINE: usize = 64;

/// Asks for the lines of some numbers, as far as there are any, to be in the first cache.
#[inline(always)]
pub fn ask_for<T>(data: &[T], range: Range<usize>) {
    let end = range.end.min(data.len());
    for number in (range.start.min(end)..end).step_by(LINE / size_of::<T>()) {
        prefetch(&raw const data[number], Cache::First);
    }
}

/// Numbers that are widened at a time: the lanes of the widest vectors.
const BLOCK: usize = 16;

/// One of the dtypes that kernels read.
pub trait Element: Copy + Send + Sync {
    /// This number as float32.
    fn widen(self) -> f32;

    /// Widens as many elements as the widest vectors have lanes.
    #[inline(always)]
    fn widen_block(from: &[Self; BLOCK]) -> [f32; BLOCK] {
        let mut to = [0.0; BLOCK];
        for (to, from) in to.iter_mut().zip(from) {
            *to = from.widen();
        }
        to
    }

    /// Widens elements that lie side by side.
    #[inline(always)]
    fn widen_all(from: &[Self], to: &mut [f32]) {
        let (blocks, rest) = from.as_chunks();
        let (to_blocks, to_rest) = to[..from.len()].as_chunks_mut();
        for (to, from) in to_blocks.iter_mut().zip(blocks) {
            *to = Self::widen_block(from);
        }
        for (to, from) in to_rest.iter_mut().zip(rest) {
            *to = from.widen();
        }
    }
}

impl Element for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }

    #[inline(always)]
    fn widen_block(from: &[Self; BLOCK]) -> [f32; BLOCK] {
        *from
    }
}

impl Element for bf16 {
    /// The upper half of a float32, a NaN included.
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
}

impl Element for f16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self.to_f32()
    }

    /// Conversion by the processor, where it has one.
    #[inline(always)]
    fn widen_block(from: &[Self; BLOCK]) -> [f32; BLOCK] {
        let mut to = [0.0; BLOCK];
        from.convert_to_f32_slice(&mut to);
        to
    }
}
