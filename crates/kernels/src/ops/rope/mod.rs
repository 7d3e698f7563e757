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
#[cfg(any(target_vendor = "apple", soft_metal))]
mod metal;
mod reference;

use crate::host::untracked;
use crate::path::{self, Path};
use crate::tape::Record;
use crate::{Error, Result};
use candle_core::{CpuStorage, CustomOp1, Layout, Result as CandleResult, Shape, Storage, Tensor};

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
        Path::Kernel => Ok(x.record1(Rope { cos, sin })?),
        Path::Reference => reference::forward(x, &cos, &sin),
    }
}

struct Rope {
    /// `(T, D/2)` or `(B, T, D/2)`, constants.
    cos: Tensor,
    sin: Tensor,
}

impl Rope {
    /// `x` turned, or back where `sign` is -1, on its device.
    fn turned(&self, x: &Storage, layout: &Layout, sign: f32) -> CandleResult<Storage> {
        let tables = [&self.cos, &self.sin];
        match x {
            Storage::Cpu(x) => Ok(Storage::Cpu(cpu::turned(x, layout, tables, sign)?)),
            #[cfg(any(target_vendor = "apple", soft_metal))]
            Storage::Metal(x) => Ok(Storage::Metal(metal::turned(x, layout, tables, sign)?)),
            _ => candle_core::bail!("rope has no kernel for this device"),
        }
    }
}

impl CustomOp1 for Rope {
    fn name(&self) -> &'static str {
        "rope"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> CandleResult<(CpuStorage, Shape)> {
        let y = cpu::turned(x, layout, [&self.cos, &self.sin], 1.0)?;
        Ok((y, layout.shape().clone()))
    }

    #[cfg(any(target_vendor = "apple", soft_metal))]
    fn metal_fwd(
        &self,
        x: &candle_core::MetalStorage,
        layout: &Layout,
    ) -> CandleResult<(candle_core::MetalStorage, Shape)> {
        let y = metal::turned(x, layout, [&self.cos, &self.sin], 1.0)?;
        Ok((y, layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, y: &Tensor, dy: &Tensor) -> CandleResult<Option<Tensor>> {
        let (storage, layout) = dy.storage_and_layout();
        let dx = self.turned(&storage, layout, -1.0)?;
        Ok(Some(untracked(dx, y.shape())))
    }
}

/// (T, D/2) or (B, T, D/2) -> (B, H, T, D/2), a view with a row for every row of `x`.
fn per_head(table: &Tensor, x: &Layout) -> CandleResult<Tensor> {
    let (b, h, t, d) = x.shape().dims4()?;
    let table = table.unsqueeze(table.rank() - 2)?;
    table.broadcast_as((b, h, t, d / 2))
}
