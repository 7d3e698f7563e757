//! Inputs that all kernels read.

use super::{SOURCE, TILE};
use crate::metal::{Launch, Output, Strided};
use crate::ops::attention::Attention;
use crate::ops::attention::sizes::Sizes;
use crate::ops::attention::visible::Visible;
use crate::transfer::upload;
use candle_core::{DType, Device, Error, MetalDevice, Result, Tensor};

/// Floating-point operations for each score and column at most: the gradients of keys and values
/// take four products of a multiplication and an addition.
const MOST_FLOPS: usize = 8;

/// `Sizes` of `tiles.metal`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Constants {
    heads: u32,
    group: u32,
    queries: u32,
    keys: u32,
    width: u32,
    causal: u32,
    window: u32,
    has_spans: u32,
    has_sinks: u32,
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
    seen: Strided<'a>,
    pub(super) sinks: Strided<'a>,
    pub(super) sizes: Constants,
}

impl<'a> Inputs<'a> {
    /// `seen` is what [`seen`] gives; forward alone reads sinks.
    pub(super) fn new(
        op: &'a Attention,
        device: &'a MetalDevice,
        [q, k, v]: [Strided<'a>; 3],
        [seen, sinks]: [Option<Strided<'a>>; 2],
    ) -> Result<Self> {
        let size = |size: usize| u32::try_from(size).map_err(candle_core::Error::wrap);
        Ok(Self {
            op,
            device,
            q,
            k,
            v,
            // Something must be bound even where it is not read.
            seen: seen.unwrap_or(k.unread()),
            sinks: sinks.unwrap_or(k.unread()),
            sizes: Constants {
                heads: size(op.sizes.heads)?,
                group: size(op.sizes.group())?,
                queries: size(op.sizes.queries)?,
                keys: size(op.keys)?,
                width: size(op.sizes.width)?,
                causal: op.mask.causal.into(),
                window: size(op.mask.window.map_or(0, |window| window.min(op.keys)))?,
                has_spans: seen.is_some().into(),
                has_sinks: sinks.is_some().into(),
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

    /// A kernel with its first nine: `q`, `k`, `v` and what is seen, each with strides, and sizes.
    pub(super) fn launch(&self, kernel: &'static str) -> Result<Launch<'_>> {
        let launch = self.bare(kernel)?.strided(&self.q).strided(&self.k);
        let launch = launch.strided(&self.v).strided(&self.seen);
        let op = self.op;
        let launch = launch.flops(&[op.sizes.rows(), op.keys, op.sizes.width, MOST_FLOPS]);
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

/// First key that every query sees and the one behind the last, u32 `(B, 1, Tq, 2)`, where there are
/// spans. One that sees none has no key for the first and the first for the last.
pub(super) fn seen(op: &Attention, device: &Device) -> Result<Option<Tensor>> {
    let Some(spans) = &op.mask.spans else {
        return Ok(None);
    };
    let Sizes { batch, queries, .. } = op.sizes;
    let mut seen = vec![[op.keys as u32, 0]; batch * queries];
    for span in &**spans {
        let visible = Visible::new(&op.mask, span);
        for (i, query) in span.queries.clone().enumerate() {
            let keys = visible.range(i..i + 1);
            let [start, end] = [keys.start, keys.end].map(|key| (span.keys.start + key) as u32);
            seen[span.row * queries + query] = [start, end];
        }
    }
    let seen: Vec<u32> = seen.into_iter().flatten().collect();
    let seen = upload(&seen, (batch, 1, queries, 2), device).map_err(Error::wrap)?;
    Ok(Some(seen))
}
