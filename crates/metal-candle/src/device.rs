//! What the host has to do for a device that works while the host goes on.
//!
//! candle keeps every command buffer that it has given to an Apple GPU until somebody waits, and a
//! loop that never reads anything back grows. The loops of this crate read something back in every
//! round, which waits: a loss in every micro-batch of training and evaluation
//! ([`crate::train::step`]), the logits of every token in generation ([`crate::generate`]). A loop
//! of your own that does not must call [`finish`] every few rounds, and put every one into [`round`],
//! as they do.

use candle_core::{Device, Result};

/// One round of a loop: what Apple's frameworks let go of in it is freed at its end, and not when the
/// thread ends. Elsewhere just `f`.
pub fn round<T>(f: impl FnOnce() -> T) -> T {
    #[cfg(any(target_vendor = "apple", soft_metal))]
    return metal_candle_mps::apple::pooled(f);
    #[cfg(not(any(target_vendor = "apple", soft_metal)))]
    return f();
}

/// Waits until `device` has done all that this thread gave it, and lets go of what it kept for
/// that. On the CPU, which is never behind, there is nothing to do.
///
/// Not by `Device::synchronize`: on Metal that waits for the last command buffer that nobody else
/// waits for, and returns early where another thread waits for this one's work.
///
/// # Errors
/// When the device failed at its work, candle's or that of MPS.
pub fn finish(device: &Device) -> Result<()> {
    match device {
        #[cfg(any(target_vendor = "apple", soft_metal))]
        Device::Metal(metal) => {
            metal_candle_mps::apple::sync(metal).map_err(candle_core::Error::wrap)
        }
        _ => device.synchronize(),
    }
}
