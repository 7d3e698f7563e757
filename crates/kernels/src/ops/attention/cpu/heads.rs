//! Queries, keys or values of all heads, in host memory.

use super::tile::{Right, WIDEST_PANEL};
use crate::host::{on_host, slice};
use candle_core::{CpuStorage, Layout, Result, Storage};
use half::{bf16, f16};
use metal_candle_cpu::floats::Element;
use metal_candle_cpu::simd::dispatch;
use pulp::{Simd, WithSimd};
use std::borrow::Cow;
use std::ops::Range;

/// `(B, H, T, D)` whose rows are contiguous; borrowed in any other order and in every dtype.
pub(super) struct Heads<'a> {
    data: Data<'a>,
    dims: [usize; 4],
    /// Strides of all dimensions but the last.
    strides: [usize; 3],
}

enum Data<'a> {
    F32(Cow<'a, [f32]>),
    F16(&'a [f16]),
    Bf16(&'a [bf16]),
}

/// `D` in memory of our own: whole panels, the last filled up with zeros.
pub(super) fn padded(width: usize) -> usize {
    width.next_multiple_of(WIDEST_PANEL)
}

impl<'a> Heads<'a> {
    /// Heads as they lie in memory, unless that has distances within a row.
    pub(super) fn new(storage: &'a CpuStorage, layout: &Layout) -> Result<Self> {
        let (b, h, t, d) = layout.shape().dims4()?;
        let start = layout.start_offset();
        let packed = Layout::contiguous(layout.shape());
        let is_contiguous = d == 1 || layout.stride().last() == Some(&1);
        let (data, layout) = match storage {
            CpuStorage::F32(x) if is_contiguous => (Data::F32(Cow::Borrowed(&x[start..])), layout),
            CpuStorage::F16(x) if is_contiguous => (Data::F16(&x[start..]), layout),
            CpuStorage::BF16(x) if is_contiguous => (Data::Bf16(&x[start..]), layout),
            _ => (Data::F32(slice(storage, layout)?), &packed),
        };
        let &[b_stride, h_stride, t_stride, _] = layout.stride() else {
            candle_core::bail!("attention: four dimensions have four strides");
        };
        Ok(Self {
            data,
            dims: [b, h, t, d],
            strides: [b_stride, h_stride, t_stride],
        })
    }

    /// From what `Tensor::storage_and_layout` gives.
    pub(super) fn of(storage: &'a Storage, layout: &Layout) -> Result<Self> {
        Self::new(on_host(storage)?, layout)
    }

    /// Number of heads.
    pub(super) fn count(&self) -> usize {
        self.dims[1]
    }

    /// All of it in float32 and whole panels: borrowed where it lies so.
    pub(super) fn widened(&self) -> Wide<'_> {
        let [b, h, t, d] = self.dims;
        if let Some(data) = self.wide() {
            let strides = self.strides;
            return Wide {
                data: Cow::Borrowed(data),
                strides,
            };
        }
        let width = padded(d);
        let mut data = Vec::with_capacity(b * h * t * width);
        dispatch(Widen {
            heads: self,
            to: &mut data,
        });
        Wide {
            data: Cow::Owned(data),
            strides: [h * t * width, t * width, width],
        }
    }

    /// The memory, where it is float32 in whole panels.
    fn wide(&self) -> Option<&[f32]> {
        match &self.data {
            Data::F32(data) if self.dims[3].is_multiple_of(WIDEST_PANEL) => Some(data),
            _ => None,
        }
    }

    /// Some tokens of one head in float32 and whole panels: borrowed, or copied to `memory`.
    #[inline(always)]
    pub(super) fn read<'b>(
        &'b self,
        batch: usize,
        head: usize,
        tokens: Range<usize>,
        memory: &'b mut Vec<f32>,
    ) -> Right<'b> {
        if let Some(data) = self.wide() {
            let data = data.get(self.start(batch, head, tokens.start)..);
            let (data, step) = (data.unwrap_or(&[]), self.strides[2]);
            return Right { data, step };
        }
        memory.clear();
        self.copy(batch, head, tokens, memory);
        let step = padded(self.dims[3]);
        Right { data: memory, step }
    }

    #[inline(always)]
    fn copy(&self, batch: usize, head: usize, tokens: Range<usize>, to: &mut Vec<f32>) {
        let [.., width] = self.dims;
        for token in tokens {
            let start = self.start(batch, head, token);
            let row = start..start + width;
            let from = to.len();
            to.resize(from + padded(width), 0.0);
            let to = &mut to[from..from + width];
            match &self.data {
                Data::F32(data) => to.copy_from_slice(&data[row]),
                Data::F16(data) => Element::widen_all(&data[row], to),
                Data::Bf16(data) => Element::widen_all(&data[row], to),
            }
        }
    }

    fn start(&self, batch: usize, head: usize, token: usize) -> usize {
        batch * self.strides[0] + head * self.strides[1] + token * self.strides[2]
    }
}

/// Copy of all tokens.
struct Widen<'a, 'b> {
    heads: &'a Heads<'a>,
    to: &'b mut Vec<f32>,
}

impl WithSimd for Widen<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let [b, h, t, _] = self.heads.dims;
        for head in 0..b * h {
            self.heads.copy(head / h, head % h, 0..t, self.to);
        }
    }
}

/// `(B, H, T, D)` in float32; a row is as wide as whole panels.
#[derive(Default)]
pub(super) struct Wide<'a> {
    data: Cow<'a, [f32]>,
    strides: [usize; 3],
}

impl Wide<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Tokens of one head from `first` on.
    pub(super) fn tokens(&self, batch: usize, head: usize, first: usize) -> Right<'_> {
        let [b, h, step] = self.strides;
        let start = batch * b + head * h + first * step;
        let data = self.data.get(start..).unwrap_or(&[]);
        Right { data, step }
    }
}
