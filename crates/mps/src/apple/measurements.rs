//! Measurements on the GPUs of this process.

use std::sync::{Arc, PoisonError, RwLock};

use candle_core::MetalDevice;

use super::{Error, Order};
use crate::order::Litmus;
use crate::policy::{Calibration, Policy};

/// Measurements by the registry ID of their GPU.
static MEASURED: RwLock<Vec<(u64, Arc<Calibration>)>> = RwLock::new(Vec::new());

/// Chooses engines for `device`'s GPU by `calibration` from now on; `false`, and nothing changes, if
/// it was measured on another machine.
///
/// # Errors
///
/// What candle reports when it makes the objects that are kept for the device.
pub fn use_calibration(device: &MetalDevice, calibration: Calibration) -> Result<bool, Error> {
    let here = super::key(device, calibration.key.strategy)? == calibration.key;
    if here {
        let gpu = device.device().registry_id();
        let mut measured = MEASURED.write().unwrap_or_else(PoisonError::into_inner);
        measured.retain(|(known, _)| *known != gpu);
        measured.push((gpu, Arc::new(calibration)));
    }
    Ok(here)
}

/// What engines are chosen by on `device`.
///
/// # Errors
///
/// The same.
pub fn policy(device: &MetalDevice) -> Result<Policy, Error> {
    Ok(Policy {
        caps: super::caps(device)?,
        calibration: of(device),
    })
}

/// The order that was measured, or the one that needs no proof.
pub(crate) fn order(device: &MetalDevice) -> Order {
    let measured = of(device).map(|calibration| Order {
        strategy: calibration.key.strategy,
        litmus: Some(Litmus {
            key: calibration.key.clone(),
            rounds: calibration.litmus,
        }),
    });
    measured.unwrap_or(Order::BLOCKING)
}

fn of(device: &MetalDevice) -> Option<Arc<Calibration>> {
    let gpu = device.device().registry_id();
    let measured = MEASURED.read().unwrap_or_else(PoisonError::into_inner);
    let mut measured = measured.iter();
    let found = measured.find(|(known, _)| *known == gpu);
    found.map(|(_, calibration)| calibration.clone())
}
