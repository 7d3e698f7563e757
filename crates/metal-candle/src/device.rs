//! Work of the host for a device that works while the host goes on.
//!
//! candle keeps every command buffer that it has given to an Apple GPU until somebody waits, and a
//! loop that never reads anything back grows. The loops of this crate read something back in every
//! round, which waits: a loss in every micro-batch of training and evaluation
//! ([`crate::train::step`]), the logits of every token in generation ([`crate::generate`]). A loop
//! of your own that does not must call [`finish`] every few rounds, and put every one into [`round`],
//! as they do.
//!
//! A wait of candle's sees the failure of its own command buffer only, and a round has several: those
//! loops ask for the others ([`read_back`]).

mod failure;

use candle_core::{Device, Result, Tensor};

pub use failure::GpuFailure;

/// One round of a loop: what Apple's frameworks let go of in it is freed at its end, and not when the
/// thread ends. Elsewhere just `f`.
pub fn round<T>(f: impl FnOnce() -> T) -> T {
    #[cfg(any(target_vendor = "apple", soft_metal))]
    return metal_candle_mps::apple::round(f);
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
        Device::Metal(metal) => read_back(device, || {
            metal_candle_mps::apple::sync(metal).map_err(candle_core::Error::wrap)
        }),
        _ => device.synchronize(),
    }
}

/// What `read` reads back from `device`, if everything that the device was given before was done: a
/// GPU that is interrupted leaves results unwritten, and candle looks at the command buffer that it
/// waits for alone. [`GpuFailure::of`] tells failures apart.
///
/// While another thread is in a [`round`], command buffers before the last one cannot be asked for;
/// the first call after that tells of them.
///
/// # Errors
/// Those of `read`, and what a GPU failed at since the last call.
pub fn read_back<T>(device: &Device, read: impl FnOnce() -> Result<T>) -> Result<T> {
    let value = read();
    // In any case: what has failed is told once.
    check(device)?;
    value
}

fn check(device: &Device) -> Result<()> {
    match device {
        #[cfg(any(target_vendor = "apple", soft_metal))]
        Device::Metal(metal) => {
            metal_candle_mps::apple::check(metal).map_err(candle_core::Error::wrap)
        }
        _ => Ok(()),
    }
}

/// Values of `t` in memory of their own, contiguous and not tracked: what is written to `t` later, a
/// variable, does not show in them. Every bit is kept.
///
/// Not by `Tensor::copy`, which on Metal shares the buffer. On a GPU this is ordered before what is
/// encoded later, and nothing waits.
///
/// # Errors
/// When memory runs out.
pub fn snapshot(t: &Tensor) -> Result<Tensor> {
    t.detach().force_contiguous()
}

#[cfg(test)]
mod tests {
    use super::snapshot;
    use candle_core::{Device, Result, Tensor, Var};

    #[test]
    fn a_snapshot_keeps_what_was_there() -> Result<()> {
        let var = Var::new(&[[1f32, -0.0], [f32::INFINITY, 3.0]], &Device::Cpu)?;
        let (whole, column) = (snapshot(&var)?, snapshot(&var.narrow(1, 1, 1)?)?);
        var.set(&Tensor::zeros((2, 2), var.dtype(), &Device::Cpu)?)?;
        let bits = |t: &Tensor| -> Result<Vec<u32>> {
            let values = t.flatten_all()?.to_vec1::<f32>()?;
            Ok(values.into_iter().map(f32::to_bits).collect())
        };
        let want = [1.0, -0.0, f32::INFINITY, 3.0].map(f32::to_bits);
        assert_eq!(bits(&whole)?, want);
        assert_eq!(bits(&column)?, [want[1], want[3]]);
        assert!(!whole.is_variable() && !whole.track_op());
        Ok(())
    }
}
