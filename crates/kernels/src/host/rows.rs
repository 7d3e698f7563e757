//! Rows of tensors as kernels read and write them: float32 in place, f16 and bf16 through memory
//! of one row, so that no tensor is ever converted whole.
#![allow(unsafe_code)]

use crate::host::{floats, on_host};
use candle_core::{CpuStorage, Layout, Result, Storage};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use metal_candle_cpu::floats::{Element, Floats};
use metal_candle_cpu::vector::written;
use std::mem::MaybeUninit;

/// Memory of a row that a kernel has to write.
pub(crate) type Unwritten<'y> = &'y mut [MaybeUninit<f32>];

/// A dtype that kernels read and write, computing in float32.
pub(crate) trait Writable: Element {
    /// A vector of them as a storage.
    fn storage(values: Vec<Self>) -> CpuStorage;

    /// A row as float32, in `buffer` where it has to be converted.
    fn read<'a>(row: &'a [Self], buffer: &'a mut Vec<f32>) -> &'a [f32];

    /// Where a kernel writes `row`: in `buffer` where it has to be converted.
    fn memory<'a>(
        row: &'a mut [MaybeUninit<Self>],
        buffer: &'a mut Vec<MaybeUninit<f32>>,
    ) -> Unwritten<'a>;

    /// Converts what a kernel has written, where it has to be converted.
    ///
    /// # Safety
    /// All of `memory(row, buffer)` must have been written.
    unsafe fn store(buffer: &mut [MaybeUninit<f32>], row: &mut [MaybeUninit<Self>]);
}

impl Writable for f32 {
    fn storage(values: Vec<f32>) -> CpuStorage {
        CpuStorage::F32(values)
    }

    #[inline(always)]
    fn read<'a>(row: &'a [f32], _: &'a mut Vec<f32>) -> &'a [f32] {
        row
    }

    #[inline(always)]
    fn memory<'a>(row: Unwritten<'a>, _: &'a mut Vec<MaybeUninit<f32>>) -> Unwritten<'a> {
        row
    }

    #[inline(always)]
    unsafe fn store(_: &mut [MaybeUninit<f32>], _: &mut [MaybeUninit<f32>]) {}
}

impl Writable for bf16 {
    fn storage(values: Vec<bf16>) -> CpuStorage {
        CpuStorage::BF16(values)
    }

    #[inline(always)]
    fn read<'a>(row: &'a [bf16], buffer: &'a mut Vec<f32>) -> &'a [f32] {
        buffer.resize(row.len(), 0.0);
        for (y, x) in buffer.iter_mut().zip(row) {
            *y = x.widen();
        }
        buffer
    }

    #[inline(always)]
    fn memory<'a>(
        row: &'a mut [MaybeUninit<bf16>],
        buffer: &'a mut Vec<MaybeUninit<f32>>,
    ) -> Unwritten<'a> {
        buffer.resize(row.len(), MaybeUninit::uninit());
        buffer
    }

    #[inline(always)]
    unsafe fn store(buffer: &mut [MaybeUninit<f32>], row: &mut [MaybeUninit<bf16>]) {
        // SAFETY: the caller's.
        let values = unsafe { written(buffer) };
        for (y, x) in row.iter_mut().zip(values) {
            y.write(rounded(*x));
        }
    }
}

impl Writable for f16 {
    fn storage(values: Vec<f16>) -> CpuStorage {
        CpuStorage::F16(values)
    }

    #[inline(always)]
    fn read<'a>(row: &'a [f16], buffer: &'a mut Vec<f32>) -> &'a [f32] {
        buffer.resize(row.len(), 0.0);
        row.convert_to_f32_slice(buffer);
        buffer
    }

    #[inline(always)]
    fn memory<'a>(
        row: &'a mut [MaybeUninit<f16>],
        buffer: &'a mut Vec<MaybeUninit<f32>>,
    ) -> Unwritten<'a> {
        buffer.resize(row.len(), MaybeUninit::uninit());
        buffer
    }

    #[inline(always)]
    unsafe fn store(buffer: &mut [MaybeUninit<f32>], row: &mut [MaybeUninit<f16>]) {
        row.fill(MaybeUninit::new(f16::ZERO));
        // SAFETY: the line above wrote `row`, the caller `buffer`.
        let (row, values) = unsafe { (written(row), written(buffer)) };
        row.convert_from_f32_slice(values);
    }
}

/// To the nearest bf16, the even one of two; as `bf16::from_f32`, but without a branch, so that it
/// becomes vector code.
#[inline(always)]
fn rounded(x: f32) -> bf16 {
    let bits = x.to_bits();
    let even = (bits >> 16) & 1;
    let nearest = bits.wrapping_add(0x7FFF + even) >> 16;
    // A NaN keeps its upper bits, and stays one where those are zero.
    let quiet = bits >> 16 | 0x40;
    bf16::from_bits(if x.is_nan() { quiet } else { nearest } as u16)
}

/// A tensor as rows of its last dimension, in any layout and dtype that kernels know.
pub(crate) struct Input<'a> {
    data: Floats<'a>,
    layout: Layout,
}

impl<'a> Input<'a> {
    pub(crate) fn new(storage: &'a CpuStorage, layout: &Layout) -> Result<Self> {
        let data = floats(storage)?;
        let layout = layout.clone();
        Ok(Self { data, layout })
    }

    /// The rows of a tensor, from what [`candle_core::Tensor::storage_and_layout`] gives.
    pub(crate) fn of(storage: &'a Storage, layout: &Layout) -> Result<Self> {
        Self::new(on_host(storage)?, layout)
    }

    /// The rows from row `first` on.
    pub(crate) fn rows_from(&self, first: usize) -> RowsFrom<'a> {
        let (width, stride, lead) = split(&self.layout);
        let mut rows = RowsFrom {
            data: self.data,
            offset: self.layout.start_offset(),
            width,
            stride,
            lead: merged(lead),
            buffer: vec![],
        };
        rows.skip(first);
        rows
    }
}

/// Width and stride of a row, size and stride of the dimensions before it.
fn split(layout: &Layout) -> (usize, usize, Vec<(usize, usize)>) {
    let dims = layout.dims().iter().copied();
    let mut lead: Vec<_> = dims.zip(layout.stride().iter().copied()).collect();
    match lead.pop() {
        // Of one element there is only the first.
        Some((1, _)) => (1, 1, lead),
        Some((width, stride)) => (width, stride, lead),
        None => (1, 1, lead),
    }
}

/// The dimensions with those that lie in order made one, innermost first.
fn merged(lead: Vec<(usize, usize)>) -> Vec<Dimension> {
    let mut merged: Vec<Dimension> = vec![];
    for (size, stride) in lead.into_iter().rev() {
        match merged.last_mut() {
            Some(inner) if stride == inner.size * inner.stride => inner.size *= size,
            _ => merged.push(Dimension {
                size,
                stride,
                index: 0,
            }),
        }
    }
    merged
}

struct Dimension {
    size: usize,
    stride: usize,
    index: usize,
}

/// A walk over the rows of an [`Input`].
pub(crate) struct RowsFrom<'a> {
    data: Floats<'a>,
    /// Offset of the row that comes next.
    offset: usize,
    width: usize,
    stride: usize,
    /// Innermost first.
    lead: Vec<Dimension>,
    buffer: Vec<f32>,
}

impl RowsFrom<'_> {
    fn skip(&mut self, mut rows: usize) {
        for dimension in &mut self.lead {
            dimension.index = rows % dimension.size.max(1);
            self.offset += dimension.index * dimension.stride;
            rows /= dimension.size.max(1);
        }
    }

    /// The next row, as float32.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> &[f32] {
        let offset = self.offset;
        self.advance();
        let (width, stride) = (self.width, self.stride);
        let buffer = &mut self.buffer;
        match self.data {
            Floats::F32(data) => read(&data[offset..], width, stride, buffer),
            Floats::F16(data) => read(&data[offset..], width, stride, buffer),
            Floats::Bf16(data) => read(&data[offset..], width, stride, buffer),
        }
    }

    #[inline(always)]
    fn advance(&mut self) {
        for dimension in &mut self.lead {
            dimension.index += 1;
            self.offset += dimension.stride;
            if dimension.index < dimension.size {
                return;
            }
            dimension.index = 0;
            self.offset -= dimension.size * dimension.stride;
        }
    }
}

#[inline(always)]
fn read<'a, T: Writable>(
    data: &'a [T],
    width: usize,
    stride: usize,
    buffer: &'a mut Vec<f32>,
) -> &'a [f32] {
    if stride == 1 {
        return T::read(&data[..width], buffer);
    }
    buffer.clear();
    buffer.extend((0..width).map(|i| data[i * stride].widen()));
    buffer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_is_rounded_as_the_crate_half_does() {
        let at = |bits: u32| f32::from_bits(bits);
        // Miri would take an hour for all of them, and there is no address in this for it to check.
        let step = if cfg!(miri) { 97 } else { 1 };
        let upper_halves = (0..=u32::from(u16::MAX)).step_by(step);
        let numbers = upper_halves.flat_map(|upper| {
            let lower = [0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF];
            lower.map(|lower| at(upper << 16 | lower))
        });
        for x in numbers {
            assert_eq!(rounded(x).to_bits(), bf16::from_f32(x).to_bits(), "{x:e}");
        }
    }

    #[test]
    fn rows_of_any_layout_in_order() {
        use candle_core::Shape;
        let data: Vec<f32> = (0..24).map(|i| i as f32).collect();
        let storage = CpuStorage::F32(data);
        // (2, 3, 4) in memory, seen as (3, 2, 4), as (3, 4, 2), and its second half twice.
        for (dims, strides, start) in [
            (vec![3, 2, 4], vec![4, 12, 1], 0),
            (vec![3, 4, 2], vec![4, 1, 12], 0),
            (vec![2, 3, 4], vec![0, 4, 1], 12),
        ] {
            let layout = Layout::new(Shape::from(dims.clone()), strides.clone(), start);
            let want = |row: usize, i: usize| {
                let (a, b) = (row / dims[1], row % dims[1]);
                (start + a * strides[0] + b * strides[1] + i * strides[2]) as f32
            };
            for first in 0..dims[0] * dims[1] {
                let mut rows = Input::new(&storage, &layout).unwrap().rows_from(first);
                for row in first..dims[0] * dims[1] {
                    let want: Vec<f32> = (0..dims[2]).map(|i| want(row, i)).collect();
                    assert_eq!(rows.next(), want);
                }
            }
        }
    }
}
