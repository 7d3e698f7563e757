//! Measurements of Apple GPUs in the user's cache folder: written by `metal-candle calibrate`, taken up
//! by every command that opens a GPU.

use crate::cache_folder;
use crate::error::{Error, Result};
use candle_core::MetalDevice;
use metal_candle::files;
use metal_candle_mps::apple;
use metal_candle_mps::metal::use_calibration;
use metal_candle_mps::order::Strategy;
use metal_candle_mps::policy::{Calibration, CalibrationError};
use std::path::PathBuf;

/// The file of `device`'s GPU.
///
/// # Errors
/// When the system does not tell a cache folder, or the GPU fails.
pub fn path(device: &MetalDevice) -> Result<PathBuf> {
    let caps = apple::caps(device).map_err(Error::failed)?;
    cache_folder::file(&format!("calibration-{}.json", caps.architecture))
}

/// The measurements in the file, if there are any that hold here.
///
/// # Errors
/// Why there are none.
pub fn load(device: &MetalDevice) -> std::result::Result<Calibration, String> {
    let path = path(device).map_err(|error| error.message().to_owned())?;
    // They hold for the strategy that passed; the rest of the key is this machine's.
    let mut reasons = vec![];
    for strategy in [
        Strategy::SameBuffer,
        Strategy::FenceBridge,
        Strategy::Blocking,
    ] {
        let key = apple::key(device, strategy).map_err(|error| error.to_string())?;
        match Calibration::load(&path, &key) {
            Ok(calibration) => return Ok(calibration),
            Err(CalibrationError::OtherKey { found, .. }) if found.strategy != strategy => {}
            Err(error) => reasons.push(error.to_string()),
        }
    }
    Err(reasons.into_iter().next().unwrap_or_default())
}

/// Chooses engines by the file from now on, where there is one. One that cannot be used is told.
pub fn take_up(device: &MetalDevice) {
    let is_there = path(device).is_ok_and(|path| path.exists());
    if !is_there {
        return;
    }
    let taken = load(device).and_then(|calibration| {
        use_calibration(device, calibration).map_err(|error| error.to_string())
    });
    if let Err(reason) = taken {
        tracing::warn!("MPS is not used: {reason}; `metal-candle calibrate` measures anew");
    }
}

/// Writes the file.
///
/// # Errors
/// When it cannot be written.
pub fn store(device: &MetalDevice, calibration: &Calibration) -> Result<PathBuf> {
    let path = path(device)?;
    if let Some(folder) = path.parent() {
        files::make_folder(folder)?;
    }
    let saved = calibration.save(&path);
    saved.map_err(|error| Error::failed(format!("cannot write {}: {error}", path.display())))?;
    Ok(path)
}
