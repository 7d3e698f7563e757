//! Slabs of a dense matrix that is packed: all of it in float32 would take more memory than it does itself.

use super::check;
use crate::Result;
use candle_core::{DType, Device, Tensor};

/// Numbers of a slab, about: 4 MiB in float32.
const NUMBERS: usize = 1 << 20;

/// Rows of a slab are a multiple of this, and so are its numbers: blocks that run across rows end with it.
const ROWS: usize = 64;

/// Calls `f` with the numbers of some whole rows in float32, slab after slab.
///
/// # Errors
/// When a number is not finite, and those of `f`.
pub(super) fn each_slab(dense: &Tensor, mut f: impl FnMut(&[f32])) -> Result<()> {
    let (n, k) = dense.dims2()?;
    let rows = (NUMBERS / k.max(1)).next_multiple_of(ROWS).max(ROWS);
    for start in (0..n).step_by(rows) {
        let slab = dense.narrow(0, start, rows.min(n - start))?;
        let slab = slab.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
        let numbers = slab.flatten_all()?.to_vec1::<f32>()?;
        check::finite("quantize", &numbers)?;
        f(&numbers);
    }
    Ok(())
}
