//! Rotary position embedding (Su et al. 2021, <https://arxiv.org/abs/2104.09864>) in the layout of
//! Hugging Face checkpoints: element `i` is rotated with element `i + D/2`.
//!
//! `y_i = x_i cos_i - x_{i+D/2} sin_i`, `y_{i+D/2} = x_{i+D/2} cos_i + x_i sin_i`.
//!
//! `x` is `(B, H, T, D)`, `cos` and `sin` are `(T, D/2)` or `(B, T, D/2)` and constants.
//! float32 inside, result in the dtype of `x`. Backward: the same rotation by `-sin`; the tables
//! have no gradient, and nothing but them is kept.

#[cfg(any(test, feature = "testkit"))]
pub mod cases;
#[cfg(any(test, feature = "testkit"))]
pub mod check;
mod cpu;
mod reference;

use crate::path::{self, Path};
use crate::tape::Record;
use crate::{Error, Result};
use candle_core::Tensor;

/// Rotates every pair of `x` by the angle of its position.
///
/// # Errors
/// When `D` is odd or the tables do not have one row per position.
pub fn rope(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    let (b, _, t, d) = x.dims4()?;
    if d % 2 != 0 {
        return Err(Error::shape("rope", "x", "(B, H, T, D) with D even", x));
    }
    for (what, table) in [("cos", cos), ("sin", sin)] {
        if table.dims() != [t, d / 2] && table.dims() != [b, t, d / 2] {
            let expected = format!("({t}, {0}) or ({b}, {t}, {0})", d / 2);
            return Err(Error::shape("rope", what, expected, table));
        }
    }
    let (cos, sin) = (cos.detach(), sin.detach());
    match path::choose("rope", &[x, &cos, &sin]) {
        Path::Kernel => Ok(x.record1(cpu::Rope { cos, sin })?),
        Path::Reference => reference::forward(x, &cos, &sin),
    }
}
