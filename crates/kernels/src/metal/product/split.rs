//! Thin products with long sums, as those of an adapter: parts of the sums in as many threadgroups as keep a GPU busy, then
//! the sum of these, in order and in float32.

use super::{Factor, Onto};
use crate::metal::library::Source;
use crate::metal::{DeviceTensor, Launch, Output};
use candle_core::{DType, Result};
use metal_candle_mps::metal as mps;
use metal_candle_mps::plan::Split;

static PARTS: Source = Source {
    name: "parts",
    text: include_str!("parts.metal"),
};

/// `alpha * a b` in the dtype of `a`, for `(M, K)` and `(K, N)` of any float dtypes; `None` where it is better computed whole, or by MPS.
pub(super) fn product(
    alpha: f64,
    a: &DeviceTensor,
    b: &DeviceTensor,
) -> Result<Option<DeviceTensor>> {
    let (&[m, k], &[_, n]) = (a.dims(), b.dims()) else {
        return Ok(None);
    };
    let Some(split) = Split::of([m, n, k]) else {
        return Ok(None);
    };
    if mps::is_by_mps(a.view(), b.view())? {
        return Ok(None);
    }
    let factor = Factor::of(b)?;
    let whole = factor.times(1.0, a, Onto::Nothing);
    if !whole.has_parts() {
        return Ok(None);
    }
    let (device, dtype) = (a.device(), a.dtype());
    let parts = Output::new(device, split.parts * m * n, DType::F32)?;
    whole.run_parts(parts.place(), DType::F32, (split.range, split.parts))?;
    let y = Output::new(device, m * n, dtype)?;
    Launch::new(device, &PARTS, &[("Y", dtype)], "product_of_parts")?
        .input(&parts)
        .int(split.parts)?
        .float(alpha as f32)
        .output(&y)
        .over_elements(m, n)?;
    Ok(Some(y.matrix(n)))
}
