//! Queries, keys or values of all heads, in host memory.

use super::tile::{Right, WIDEST_PANEL};
use crate::host::{floats, on_host, slice};
use candle_core::{CpuStorage, Layout, Result, Storage};
use metal_candle_cpu::floats::Floats;
use metal_candle_cpu::simd::dispatch;
use pulp::{Simd, WithSimd};
use std::borrow::Cow;
use std::ops::Range;

/// `(B, H, T, D)` whose rows are contiguous; borrowed in any other order and in every dtype.
pub(super) struct Heads<'a> {
    data: Data<'a>,
    /// Index of the first element.
    first: usize,
    dims: [usize; 4],
    /// Strides of all dimensions but the last.
    strides: [usize; 3],
}

/// Elements: borrowed where rows are contiguous, or copied.
enum Data<'a> {
    Borrowed(Floats<'a>),
    Copied(Vec<f32>),
}

impl Data<'_> {
    fn floats(&self) -> Floats<'_> {
        match self {
            Self::Borrowed(data) => *data,
            Self::Copied(data) => Floats::F32(data),
        }
    }
}

/// `D` in memory of our own: whole panels, the last filled up with zeros.
pub(super) fn padded(width: usize) -> usize {
    width.next_multiple_of(WIDEST_PANEL)
}

impl<'a> Heads<'a> {
    /// Heads as they lie in memory, unless that has distances within a row.
    pub(super) fn new(storage: &'a CpuStorage, layout: &Layout) -> Result<Self> {
        let (b, h, t, d) = layout.shape().dims4()?;
        let packed = Layout::contiguous(layout.shape());
        let is_contiguous = d == 1 || layout.stride().last() == Some(&1);
        let (data, layout) = match floats(storage) {
            Ok(data) if is_contiguous => (Data::Borrowed(data), layout),
            _ => (Data::Copied(slice(storage, layout)?.into_owned()), &packed),
        };
        let &[b_stride, h_stride, t_stride, _] = layout.stride() else {
            candle_core::bail!("attention: four dimensions have four strides");
        };
        Ok(Self {
            data,
            first: layout.start_offset(),
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
            let (data, strides) = (&data[self.first..], self.strides);
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
        match self.data.floats() {
            Floats::F32(data) if self.dims[3].is_multiple_of(WIDEST_PANEL) => Some(data),
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
            let row = self.data.floats().part(row);
            row.widen_all(&mut to[from..from + width]);
        }
    }

    fn start(&self, batch: usize, head: usize, token: usize) -> usize {
        let [of_batch, of_head, of_token] = self.strides;
        self.first + batch * of_batch + head * of_head + token * of_token
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
