//! The definition, as bitsandbytes computes it.

use super::{BnbInt8, PER_STEP};
use crate::Result;
use candle_core::{DType, Tensor};

/// The matrix in float32, on its device.
pub(super) fn dense(packed: &BnbInt8) -> Result<Tensor> {
    let unsigned = packed.bytes.to_dtype(DType::F32)?;
    let wraps = unsigned.ge(128.0)?.to_dtype(DType::F32)?;
    let signed = (unsigned - (wraps * 256.0)?)?;
    let largest = packed.scb.flatten_all()?.unsqueeze(1)?;
    Ok((signed.broadcast_mul(&largest)? * f64::from(PER_STEP))?)
}
