//! Weights of the base model that an adapter file repeats: PEFT's `save_embedding_layers` and
//! `modules_to_save`.

use crate::lora::Error;
use candle_core::{DType, Device, Tensor};

/// Rows compared at once, so that an embedding is not held a second time in another dtype.
const ROWS: usize = 4096;

/// Whether `copy` holds the values of `weight`: rounded to either's dtype where they differ.
pub(super) fn is_copy(copy: &Tensor, weight: &Tensor) -> Result<bool, Error> {
    if copy.dims() != weight.dims() {
        return Ok(false);
    }
    let n = copy.dim(0)?;
    for start in (0..n).step_by(ROWS) {
        let rows = ROWS.min(n - start);
        let a = copy.narrow(0, start, rows)?;
        let b = weight.narrow(0, start, rows)?.to_device(&Device::Cpu)?;
        if !are_equal(&a, &b, b.dtype())? && !are_equal(&a, &b, a.dtype())? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn are_equal(a: &Tensor, b: &Tensor, dtype: DType) -> Result<bool, Error> {
    let differences = a.to_dtype(dtype)?.ne(&b.to_dtype(dtype)?)?;
    let count = differences.to_dtype(DType::F32)?.sum_all()?;
    Ok(count.to_scalar::<f32>()? == 0.0)
}
