//! Products that the policy gives to MPS, for who has another kernel beside those of candle.

use candle_core::backend::BackendStorage;
use candle_core::{DType, Layout, MetalStorage, Result, Shape};

use super::{Operand, policy, product};
use crate::policy::{ProductShape, Storage};
use crate::tensor::{self, Product, Room};

/// Whether an engine of MPS computes `left * right` where [`gemm`](super::gemm) is asked for it: `(.., M, K)` by
/// `(.., K, N)` of one dtype.
///
/// # Errors
///
/// As [`gemm`](super::gemm).
pub fn is_by_mps(left: Operand<'_>, right: Operand<'_>) -> Result<bool> {
    let policy = policy(left.0.device()).map_err(tensor::Error::from)?;
    // The usual case: nothing was measured.
    if policy.calibration.is_none() {
        return Ok(false);
    }
    let engine = product(1.0, 0.0).engine_of(&policy, left, right)?;
    Ok(engine.is_some_and(|engine| engine.is_mps()))
}

/// `alpha * left * right` in float32, contiguous, by MPS and with a copy of `right` in float32, where a measurement of just such
/// products says that this is faster than a kernel that reads `right` as it is: `(M, K)` by `(K, N)`. `None` elsewhere.
///
/// # Errors
///
/// What candle, or the GPU, reports.
pub fn widened(
    alpha: f64,
    left: Operand<'_>,
    right: Operand<'_>,
    room: Room,
) -> Result<Option<(MetalStorage, Shape)>> {
    let policy = policy(left.0.device()).map_err(tensor::Error::from)?;
    if policy.calibration.is_none() {
        return Ok(None);
    }
    let shape = shape(left, right).filter(|shape| policy.widened(shape).is_ok());
    let Some(shape) = shape else {
        return Ok(None);
    };
    let (storage, layout) = wide(right, shape.storage)?;
    let product = Product {
        engine: Some(policy.caps.mps_engine()),
        ..product(alpha, 0.0)
    };
    match product.forward(left, (&storage, &layout), None, room) {
        Ok(result) => Ok(Some(result)),
        // Sizes that it does not take: what reads `right` as it is does.
        Err(tensor::Error::Limit(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The product of a matrix of float32 by rows and one of 16 bits; none of others.
fn shape((left, left_at): Operand<'_>, (right, right_at): Operand<'_>) -> Option<ProductShape> {
    let (&[m, k], &[_, n]) = (left_at.dims(), right_at.dims()) else {
        return None;
    };
    let halves = matches!(right.dtype(), DType::F16 | DType::BF16);
    if left.dtype() != DType::F32 || !halves || left_at.stride()[1] != 1 {
        return None;
    }
    let storage = match *right_at.stride() {
        [_, 1] => Storage::Nn,
        [1, _] => Storage::Nt,
        _ => return None,
    };
    Some(ProductShape {
        dtype: DType::F32,
        weight: right.dtype(),
        storage,
        sizes: [m, n, k],
    })
}

/// `right` in float32, stored as it was.
fn wide((storage, layout): Operand<'_>, stored: Storage) -> Result<(MetalStorage, Layout)> {
    let turned = |layout: &Layout| match stored {
        Storage::Nt => layout.transpose(0, 1),
        _ => Ok(layout.clone()),
    };
    let rows = turned(layout)?;
    let storage = storage.to_dtype(&rows, DType::F32)?;
    Ok((storage, turned(&Layout::contiguous(rows.shape()))?))
}
