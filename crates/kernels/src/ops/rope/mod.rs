//! Rotary position embedding (Su et al. 2021, <https://arxiv.org/abs/2104.09864>) of the first `R`
//! elements of a head, in pairs; the others pass through.
//!
//! `y_i = x_i cos_p - x_j sin_p`, `y_j = x_j cos_p + x_i sin_p` for the elements `i` and `j` of pair
//! `p`, which [`RopePairs`] names.
//!
//! `x` is `(B, H, T, D)`, `cos` and `sin` are `(T, R/2)` or `(B, T, R/2)` and constants.
//! float32 inside, result in the dtype of `x`. Backward: the same rotation by `-sin`; the tables
//! have no gradient, and nothing but them is kept.

mod append;
#[cfg(any(test, feature = "testkit"))]
pub mod cases;
#[cfg(any(test, feature = "testkit"))]
pub mod check;
mod cpu;
#[cfg(any(target_vendor = "apple", soft_metal))]
mod metal;
mod reference;

pub use append::{CacheSlot, rope_append};

use crate::graph::path::{Devices, KernelFn, metal};
use crate::graph::{Kernel, Operation};
use crate::{Error, Result};
use candle_core::{D, Result as CandleResult, Tensor};

const DEVICES: Devices<KernelFn<Rope, 1>> = Devices {
    cpu: Some(cpu::Cpu::run),
    metal: metal!(<metal::Metal as Kernel<Rope, 1, 1>>::run),
    cuda: None,
};

/// Queries and keys in one launch.
const PAIR: Devices<KernelFn<Pair, 2, 2>> = Devices {
    cpu: None,
    metal: metal!(<metal::Metal as Kernel<Pair, 2, 2>>::run),
    cuda: None,
};

/// Elements that are a pair, of `R` that are rotated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RopePairs {
    /// Element `p` with element `p + R/2`: the layout of most checkpoints of Hugging Face.
    #[default]
    Halves,
    /// Element `2p` with element `2p + 1`: that of GLM-4 and of the paper.
    Interleaved,
}

impl RopePairs {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Halves, Self::Interleaved];
}

/// Rotates every pair of `x` by the angle of its position: `(B, H, T, D)`.
///
/// # Errors
/// When the tables do not have one row per position, the same width, or `R` of 2 to `D` elements to
/// rotate.
pub fn rope(x: &Tensor, cos: &Tensor, sin: &Tensor, pairs: RopePairs) -> Result<Tensor> {
    check(x, cos, sin)?;
    let (cos, sin) = (cos.detach(), sin.detach());
    match DEVICES.kernel("rope", x, [&cos, &sin]) {
        Some(run) => run(Rope { cos, sin, pairs }, [x]).map(|[y]| y),
        None => reference::forward(x, &cos, &sin, pairs),
    }
}

/// [`rope`] of queries and keys.
///
/// # Errors
/// As [`rope`].
pub fn rope_pair(
    [q, k]: [&Tensor; 2],
    [cos, sin]: [&Tensor; 2],
    pairs: RopePairs,
) -> Result<[Tensor; 2]> {
    check(q, cos, sin)?;
    check(k, cos, sin)?;
    let pair = Pair(Rope::new([cos, sin], pairs));
    let is_one = q.device().is_metal() && q.dtype() == k.dtype() && q.dim(3)? == k.dim(3)?;
    match is_one
        .then(|| PAIR.kernel("rope", q, [k, cos, sin]))
        .flatten()
    {
        Some(run) => run(pair, [q, k]),
        None => {
            let Pair(Rope { cos, sin, pairs }) = &pair;
            Ok([rope(q, cos, sin, *pairs)?, rope(k, cos, sin, *pairs)?])
        }
    }
}

fn check(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<()> {
    let (b, _, t, d) = x.dims4()?;
    let given = cos.dim(D::Minus1)?;
    if given == 0 || 2 * given > d {
        let expected = format!("({t}, R/2) or ({b}, {t}, R/2) with R of 2 to {d}");
        return Err(Error::shape("rope", "cos", expected, cos));
    }
    for (what, table) in [("cos", cos), ("sin", sin)] {
        if table.dims() != [t, given] && table.dims() != [b, t, given] {
            let expected = format!("({t}, {given}) or ({b}, {t}, {given})");
            return Err(Error::shape("rope", what, expected, table));
        }
    }
    Ok(())
}

struct Rope {
    /// `(T, R/2)` or `(B, T, R/2)`, constants.
    cos: Tensor,
    sin: Tensor,
    pairs: RopePairs,
}

impl Rope {
    fn new([cos, sin]: [&Tensor; 2], pairs: RopePairs) -> Self {
        let (cos, sin) = (cos.detach(), sin.detach());
        Self { cos, sin, pairs }
    }

    /// The rotation of some places alone.
    #[cfg(any(target_vendor = "apple", soft_metal))]
    fn of_places(&self, start: usize, len: usize) -> CandleResult<Self> {
        let of = |table: &Tensor| table.narrow(table.rank() - 2, start, len);
        Ok(Self {
            cos: of(&self.cos)?,
            sin: of(&self.sin)?,
            pairs: self.pairs,
        })
    }
}

impl Operation for Rope {
    fn name(&self) -> &'static str {
        "rope"
    }
}

/// The rotation of queries and keys.
struct Pair(Rope);

impl Operation for Pair {
    fn name(&self) -> &'static str {
        "rope"
    }
}

/// (T, R/2) or (B, T, R/2) -> (B, H, T, R/2), a view with a row for every row of `x`.
fn per_head(table: &Tensor, x: &Tensor) -> CandleResult<Tensor> {
    let (b, h, t, _) = x.dims4()?;
    let pairs = table.dim(D::Minus1)?;
    let table = table.unsqueeze(table.rank() - 2)?;
    table.broadcast_as((b, h, t, pairs))
}
