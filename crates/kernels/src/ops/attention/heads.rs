//! Queries, keys or values of all heads, in host memory.

use crate::gemm::Matrix;
use crate::host::{on_host, slice};
use candle_core::{CpuStorage, Layout, Result, Storage};
use std::borrow::Cow;
use std::ops::Range;

/// `(B, H, T, D)` in float32: borrowed in any layout, since products read any, and converted from
/// other dtypes.
pub(super) struct Heads<'a> {
    data: Cow<'a, [f32]>,
    width: usize,
    strides: [usize; 4],
}

impl<'a> Heads<'a> {
    pub(super) fn new(storage: &'a CpuStorage, layout: &Layout) -> Result<Self> {
        let width = layout.shape().dims4()?.3;
        let packed = Layout::contiguous(layout.shape());
        let (data, layout) = match storage {
            // A repeated element has no stride to walk along.
            CpuStorage::F32(data) if layout.stride().last() != Some(&0) => {
                (Cow::Borrowed(&data[layout.start_offset()..]), layout)
            }
            _ => (slice(storage, layout)?, &packed),
        };
        let &[b, h, t, d] = layout.stride() else {
            candle_core::bail!("attention: four dimensions have four strides");
        };
        Ok(Self {
            data,
            width,
            strides: [b, h, t, d],
        })
    }

    /// From what `Tensor::storage_and_layout` gives.
    pub(super) fn of(storage: &'a Storage, layout: &Layout) -> Result<Self> {
        Self::new(on_host(storage)?, layout)
    }

    /// Some tokens of one head, `(tokens, D)`.
    pub(super) fn tokens(&self, batch: usize, head: usize, tokens: Range<usize>) -> Matrix<'_> {
        let start = self.start(batch, head, tokens.start);
        let data = self.data.get(start..).unwrap_or(&[]);
        let sizes = (tokens.len(), self.width);
        Matrix::strided(data, sizes, (self.strides[2], self.strides[3]))
    }

    /// Appends one token of one head, times `factor`.
    pub(super) fn copy(
        &self,
        (batch, head, token): (usize, usize, usize),
        factor: f32,
        to: &mut Vec<f32>,
    ) {
        let elements = self.data[self.start(batch, head, token)..].iter();
        let elements = elements.step_by(self.strides[3]).take(self.width);
        to.extend(elements.map(|x| factor * x));
    }

    fn start(&self, batch: usize, head: usize, token: usize) -> usize {
        batch * self.strides[0] + head * self.strides[1] + token * self.strides[2]
    }
}
