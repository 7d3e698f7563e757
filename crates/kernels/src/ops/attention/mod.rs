//! Scaled dot-product attention with grouped queries:
//! `y = softmax(s + mask) v` with the scores `s = scale * q k^T`, or `s = cap * tanh(scale * q k^T / cap)`
//! where they have a bound; float32 inside, result in the dtype of `q`. A head may have a sink: one more score,
//! which is in the softmax of every query and has no value, so that `p_j = exp(s_j) / (exp(sink) + sum_j exp(s_j))`
//! (Agarwal et al. 2025, <https://arxiv.org/abs/2508.10925>).
//!
//! `q` is `(B, H, Tq, D)`, `k` and `v` are `(B, G, Tk, D)`; head `h` reads key-value head
//! `h / (H / G)`. The queries of a row see its keys, or, where there are spans, those of each span the keys
//! of it alone: sequences behind each other in a row, and rows of several lengths beside each other, are
//! spans both. A causal mask aligns the last query of a span with its last key, so that one row of
//! queries against a cache of keys sees all of it. With a window a query sees the last keys up to its own
//! only. [`cached_attention`] is the same over keys and values that lie in many tensors.
//!
//! Backward: with `p` the probabilities, `dv = p^T dy`, `ds = p * (dy v^T - sum(p * dy v^T))`, times
//! `1 - (s / cap)^2` where there is a bound, `dq = scale * ds k`, `dk = scale * ds^T q`, those of `k`
//! and `v` added up over the heads of a group. Sinks are frozen. The kernel keeps two numbers per query from forward, and the result unrounded where its
//! dtype is narrower than float32; it never holds more scores than a tile per thread, or threadgroup
//! on a GPU. The reference holds all `H * Tq * Tk` of them.

mod cached;
#[cfg(any(test, feature = "testkit"))]
pub mod cases;
#[cfg(any(test, feature = "testkit"))]
pub mod check;
mod cpu;
#[cfg(any(target_vendor = "apple", soft_metal))]
mod metal;
mod reference;
mod sizes;
mod spans;
mod visible;

pub use cached::{CachedSequence, cached_attention};
pub use spans::AttentionSpan;

use super::softcap::check_cap;
use crate::graph::path::{Devices, KernelFn, metal};
use crate::graph::{Kernel, Operation};
use crate::{Error, Result};
use candle_core::{DType, Tensor};
use sizes::{Scoring, Sizes};
use std::sync::Arc;

const DEVICES: Devices<KernelFn<Attention, 3>> = Devices {
    cpu: Some(cpu::Cpu::run),
    metal: metal!(metal::Metal::run),
    cuda: None,
};

/// Mask of the keys that a query sees; `i`, `j`, `Tq` and `Tk` are those within a span where there are spans.
#[derive(Clone, Debug, Default)]
pub struct AttentionMask {
    /// Query `i` sees key `j` only when `j <= i + Tk - Tq`.
    pub causal: bool,
    /// Query `i` sees key `j` only when `j > i + Tk - Tq - window`: its own and those before it, `window`
    /// in all; keys after it are the business of `causal`.
    pub window: Option<usize>,
    /// Queries that see keys, and which; `None` where those of a row see all of its keys. The result of
    /// a query in no span is zero. Spans ascend by row, and within a row by queries and by keys, and
    /// none overlaps another.
    pub spans: Option<Arc<[AttentionSpan]>>,
}

impl AttentionMask {
    /// Whether every query has a position among the keys.
    fn needs_positions(&self) -> bool {
        self.causal || self.window.is_some()
    }
}

/// Scoring of a query and a key; a number alone is the scale.
#[derive(Clone, Copy, Debug)]
pub struct AttentionScores<'a> {
    /// Factor of `q k^T`.
    pub scale: f64,
    /// Bound of the scaled scores, `cap * tanh(score / cap)`, before the mask.
    pub softcap: Option<f64>,
    /// A score of each query head that takes its share of every softmax and gives nothing, `(H,)` in
    /// float32; neither scaled nor bounded nor masked, and without a gradient, tracked or not.
    pub sinks: Option<&'a Tensor>,
}

impl From<f64> for AttentionScores<'_> {
    fn from(scale: f64) -> Self {
        Self {
            scale,
            softcap: None,
            sinks: None,
        }
    }
}

/// `softmax(scores + mask) v`: `(B, H, Tq, D)`.
///
/// # Errors
/// When shapes do not fit, `H` is no multiple of `G`, there is no key, there are more queries than
/// keys under a mask, spans are out of range or order, the window is empty, the bound is not
/// positive, or sinks are not `(H,)` in float32.
pub fn attention<'a>(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    mask: &AttentionMask,
    scores: impl Into<AttentionScores<'a>>,
) -> Result<Tensor> {
    let scores = scores.into();
    check(q, k, v, mask)?;
    check_cap("attention", scores.softcap)?;
    check_sinks("attention", scores.sinks, q)?;
    match DEVICES.kernel("attention", q, [k, v]) {
        Some(run) => {
            let op = Attention::new(q, k, mask, scores)?;
            run(op, [q, k, v]).map(|[y]| y)
        }
        None => reference::forward(q, k, v, mask, scores),
    }
}

fn check(q: &Tensor, k: &Tensor, v: &Tensor, mask: &AttentionMask) -> Result<()> {
    let (b, h, tq, d) = q.dims4()?;
    let (_, g, tk, _) = k.dims4()?;
    if k.dims() != [b, g, tk, d] || g == 0 || h % g != 0 || tk == 0 {
        let expected = format!("({b}, G, Tk, {d}) with G a divisor of {h} and Tk at least 1");
        return Err(Error::shape("attention", "k", expected, k));
    }
    if v.dims() != k.dims() {
        return Err(Error::shape("attention", "v", format!("{:?}", k.dims()), v));
    }
    check_window("attention", mask.window)?;
    match &mask.spans {
        Some(spans) => spans::check(spans, mask.needs_positions(), b, [tq, tk]),
        None if tq > tk && mask.needs_positions() => {
            let expected = format!("at most {tk} queries");
            Err(Error::shape("attention", "q", expected, q))
        }
        None => Ok(()),
    }
}

fn check_window(op: &'static str, window: Option<usize>) -> Result<()> {
    match window {
        Some(0) => Err(Error::Value {
            op,
            what: "window",
            expected: "at least 1".to_owned(),
            got: "0".to_owned(),
        }),
        _ => Ok(()),
    }
}

/// Refuses sinks that are not one number for each head of `q`.
fn check_sinks(op: &'static str, sinks: Option<&Tensor>, q: &Tensor) -> Result<()> {
    let (Some(sinks), (_, h, _, _)) = (sinks, q.dims4()?) else {
        return Ok(());
    };
    if sinks.dims() != [h] {
        return Err(Error::shape(op, "sinks", format!("({h},)"), sinks));
    }
    match sinks.dtype() {
        DType::F32 => Ok(()),
        got => Err(Error::DType {
            op,
            what: "sinks",
            expected: "F32",
            got,
        }),
    }
}

/// The operation of `q`, `k` and `v`.
struct Attention {
    sizes: Sizes,
    /// `Tk`.
    keys: usize,
    mask: AttentionMask,
    scoring: Scoring,
    /// `(H,)`.
    sinks: Option<Tensor>,
}

impl Attention {
    fn new(
        q: &Tensor,
        k: &Tensor,
        mask: &AttentionMask,
        scores: AttentionScores<'_>,
    ) -> Result<Self> {
        let (batch, heads, queries, width) = q.dims4()?;
        let (_, kv_heads, keys, _) = k.dims4()?;
        Ok(Self {
            sizes: Sizes {
                batch,
                heads,
                kv_heads,
                queries,
                width,
            },
            keys,
            mask: mask.clone(),
            scoring: scores.into(),
            sinks: scores.sinks.map(Tensor::detach),
        })
    }
}

impl Operation for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }
}
