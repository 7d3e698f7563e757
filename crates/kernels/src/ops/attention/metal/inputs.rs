//! Inputs that all kernels read.

use super::{SOURCE, TILE};
use crate::metal::{Launch, Output, Strided};
use crate::ops::attention::Attention;
use candle_core::{DType, MetalDevice, Result, Tensor};

/// Floating-point operations for each score and column at most: the gradients of keys and values
/// take four products of a multiplication and an addition.
const MOST_FLOPS: usize = 8;

/// `Sizes` of `tiles.metal`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    heads: u32,
    group: u32,
    queries: u32,
    keys: u32,
    width: u32,
    causal: u32,
    window: u32,
    segmented: u32,
    scale: f32,
    softcap: f32,
}

/// The inputs of one operation.
pub(super) struct Inputs<'a> {
    pub(super) op: &'a Attention,
    pub(super) device: &'a MetalDevice,
    q: Strided<'a>,
    k: Strided<'a>,
    v: Strided<'a>,
    segments: Strided<'a>,
    pub(super) sizes: Sizes,
}

impl<'a> Inputs<'a> {
    /// `segments` is `(B, 1, Tk, 1)`.
    pub(super) fn new(
        op: &'a Attention,
        device: &'a MetalDevice,
        [q, k, v]: [Strided<'a>; 3],
        segments: Option<Strided<'a>>,
    ) -> Result<Self> {
        let size = |size: usize| u32::try_from(size).map_err(candle_core::Error::wrap);
        Ok(Self {
            op,
            device,
            q,
            k,
            v,
            // Something must be bound even where no segment is read.
            segments: segments.unwrap_or(k.unread()),
            sizes: Sizes {
                heads: size(op.sizes.heads)?,
                group: size(op.sizes.group())?,
                queries: size(op.sizes.queries)?,
                keys: size(op.sizes.keys)?,
                width: size(op.sizes.width)?,
                causal: op.mask.causal.into(),
                window: size(op.mask.window.map_or(0, |window| window.min(op.sizes.keys)))?,
                segmented: segments.is_some().into(),
                scale: op.scoring.scale,
                softcap: op.scoring.softcap.unwrap_or(0.0),
            },
        })
    }

    /// A kernel without its arguments.
    pub(super) fn bare(&self, kernel: &'static str) -> Result<Launch<'_>> {
        let [q, k, v] = [self.q, self.k, self.v].map(|tensor| tensor.dtype);
        let types = [("Q", q), ("K", k), ("V", v)];
        Launch::new(self.device, &SOURCE, &types, kernel)
    }

    /// A kernel with its first nine: `q`, `k`, `v` and the segments, each with strides, and sizes.
    pub(super) fn launch(&self, kernel: &'static str) -> Result<Launch<'_>> {
        let launch = self.bare(kernel)?.strided(&self.q).strided(&self.k);
        let launch = launch.strided(&self.v).strided(&self.segments);
        let sizes = self.op.sizes;
        let scores = sizes.batch * sizes.heads * sizes.queries;
        let launch = launch.flops(&[scores, sizes.keys, sizes.width, MOST_FLOPS]);
        Ok(launch.constants(&self.sizes))
    }

    /// Columns of a threadgroup, and how many threadgroups have all columns.
    pub(super) fn slices(&self) -> (usize, usize) {
        let columns = if self.op.sizes.width <= 64 { 64 } else { 128 };
        (columns, self.op.sizes.width.div_ceil(columns))
    }

    /// Threadgroups for tiles of `tokens` of each of `heads`.
    pub(super) fn tiles(&self, tokens: usize, heads: usize) -> [usize; 3] {
        let (_, slices) = self.slices();
        [tokens.div_ceil(TILE), self.op.sizes.batch * heads, slices]
    }

    /// New memory.
    pub(super) fn output(&self, elements: usize, dtype: DType) -> Result<Output> {
        Output::new(self.device, elements, dtype)
    }
}

/// The segments of the keys in the shape that kernels take, `(B, 1, Tk, 1)`.
pub(super) fn segments(op: &Attention) -> Result<Option<Tensor>> {
    let ids = op.mask.segments.as_ref();
    ids.map(|ids| ids.unsqueeze(1)?.unsqueeze(3)).transpose()
}
