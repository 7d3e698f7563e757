//! Scaled dot-product attention with grouped queries:
//! `y = softmax(scale * q k^T + mask) v`, float32 inside, result in the dtype of `q`.
//!
//! `q` is `(B, H, Tq, D)`, `k` and `v` are `(B, G, Tk, D)`; head `h` reads key-value head
//! `h / (H / G)`. A causal mask aligns the last query with the last key, so that one row of
//! queries against a cache of keys sees all of it. With segment ids a query sees only the keys of
//! its own segment.
//!
//! Backward: with `p` the probabilities, `dv = p^T dy`, `ds = p * (dy v^T - sum(p * dy v^T))`,
//! `dq = scale * ds k`, `dk = scale * ds^T q`, those of `k` and `v` added up over the heads of a
//! group. The kernel keeps two numbers per query from forward, and the result unrounded where its
//! dtype is narrower than float32; it never holds more scores than a tile per thread, or threadgroup
//! on a GPU. The reference holds all `H * Tq * Tk` of them.

mod backward;
mod decode;
mod delta;
mod forward;
mod panels;
mod scores;
mod sizes;
mod tile;
mod turn;

#[cfg(any(test, feature = "testkit"))]
pub mod cases;
#[cfg(any(test, feature = "testkit"))]
pub mod check;
mod cpu;
mod heads;
#[cfg(any(target_vendor = "apple", soft_metal))]
mod metal;
mod node;
mod reference;
mod visible;

use crate::path::{self, Path};
use crate::tape::Record;
use crate::{Error, Result};
use candle_core::{DType, Tensor};

/// Which keys a query sees.
#[derive(Clone, Debug, Default)]
pub struct AttentionMask {
    /// Query `i` sees key `j` only when `j <= i + Tk - Tq`.
    pub causal: bool,
    /// Segment of every key, `(B, Tk)` u32; query `i` belongs to the segment of key `i + Tk - Tq`.
    pub segments: Option<Tensor>,
}

/// `softmax(scale * q k^T + mask) v`.
///
/// # Errors
/// When shapes do not fit, `H` is no multiple of `G`, there is no key, there are more queries than
/// keys under a mask, or segments are not u32.
pub fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    mask: &AttentionMask,
    scale: f64,
) -> Result<Tensor> {
    check(q, k, v, mask)?;
    match path::choose("attention", &[q, k, v]) {
        Path::Kernel => {
            let op = node::Attention::new([q, k, v], mask, scale)?;
            Ok(q.record3(k, v, op)?)
        }
        Path::Reference => reference::forward(q, k, v, mask, scale),
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
    if tq > tk && (mask.causal || mask.segments.is_some()) {
        return Err(Error::shape(
            "attention",
            "q",
            format!("at most {tk} queries"),
            q,
        ));
    }
    match &mask.segments {
        Some(ids) if ids.dims() != [b, tk] => Err(Error::shape(
            "attention",
            "segments",
            format!("({b}, {tk})"),
            ids,
        )),
        Some(ids) if ids.dtype() != DType::U32 => Err(Error::DType {
            op: "attention",
            what: "segments",
            expected: "U32",
            got: ids.dtype(),
        }),
        _ => Ok(()),
    }
}
