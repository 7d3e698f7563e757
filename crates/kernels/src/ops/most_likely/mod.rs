//! The most likely token of each row of logits, read back: four bytes a row instead of all logits.
//!
//! `logits` is `(rows, V)` float32. Of equal logits the first counts. A row gives no token where a logit is NaN or positive
//! infinity, or all are negative infinity. There is no gradient.

#[cfg(any(test, feature = "testkit"))]
pub mod check;
#[cfg(any(target_vendor = "apple", soft_metal))]
mod metal;

use crate::graph::path::{Devices, metal};
use crate::{Error, Result};
use candle_core::{DType, Result as CandleResult, Tensor};

type MostLikely = fn(&Tensor) -> CandleResult<Vec<Option<u32>>>;

const DEVICES: Devices<MostLikely> = Devices {
    cpu: Some(reference),
    metal: metal!(metal::most_likely),
    cuda: Some(reference),
};

/// The first of the largest logits of each row; this waits for the device.
///
/// # Errors
/// When `logits` is not `(rows, V)` float32, or the device failed.
pub fn most_likely(logits: &Tensor) -> Result<Vec<Option<u32>>> {
    if logits.rank() != 2 {
        return Err(Error::shape("most_likely", "logits", "(rows, V)", logits));
    }
    if logits.dtype() != DType::F32 {
        return Err(Error::DType {
            op: "most_likely",
            what: "logits",
            expected: "F32",
            got: logits.dtype(),
        });
    }
    let run = DEVICES
        .kernel("most_likely", logits, [])
        .unwrap_or(reference);
    Ok(run(&logits.detach())?)
}

fn reference(logits: &Tensor) -> CandleResult<Vec<Option<u32>>> {
    let rows = logits.to_vec2::<f32>()?;
    Ok(rows.iter().map(|row| of_row(row)).collect())
}

fn of_row(logits: &[f32]) -> Option<u32> {
    // Not `all`, which would look at one logit after the other.
    let is_fine = logits
        .iter()
        .fold(true, |fine, &logit| fine & (logit < f32::INFINITY));
    let possible = (0..).zip(logits).filter(|(_, logit)| logit.is_finite());
    let best: Option<(u32, &f32)> = possible.fold(None, |best, (id, logit)| match best {
        Some((_, highest)) if highest >= logit => best,
        _ => Some((id, logit)),
    });
    best.filter(|_| is_fine).map(|(id, _)| id)
}
