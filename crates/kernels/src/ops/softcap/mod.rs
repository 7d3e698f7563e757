//! A bound on scores and logits (Gemma 2, <https://arxiv.org/abs/2408.00118>):
//! `y = cap * tanh(x / cap)`.
//!
//! `x` has any shape; float32 inside, result in the dtype of `x`. Backward:
//! `dx = dy * (1 - (y / cap)^2)`. Attention and the loss bound what they hold while it is in registers;
//! alone, it is made of candle's operations on every device.

#[cfg(any(test, feature = "testkit"))]
pub mod cases;
#[cfg(any(test, feature = "testkit"))]
pub mod check;
pub(crate) mod reference;
pub(crate) mod registers;

use crate::{Error, Result};
use candle_core::Tensor;

/// `cap * tanh(x / cap)` of every element.
///
/// # Errors
/// When `cap` is not a positive number of float32.
pub fn softcap(x: &Tensor, cap: f64) -> Result<Tensor> {
    check_cap("softcap", Some(cap))?;
    reference::forward(x, cap)
}

/// Refuses a bound that `op` cannot divide by.
pub(crate) fn check_cap(op: &'static str, cap: Option<f64>) -> Result<()> {
    let is_usable = |cap: f64| cap as f32 > 0.0 && (cap as f32).is_finite();
    match cap {
        Some(cap) if !is_usable(cap) => Err(Error::Value {
            op,
            what: "softcap",
            expected: "a positive number of float32".to_owned(),
            got: cap.to_string(),
        }),
        _ => Ok(()),
    }
}
