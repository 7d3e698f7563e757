//! One operation, one folder.

pub mod adamw;
pub mod attention;
pub mod linear_cross_entropy;
pub mod lora_linear;
pub mod matmul;
pub mod rms_norm;
pub mod rope;
pub mod softmax;
pub mod swiglu;

/// Checks all operations on `device`.
///
/// # Errors
/// The first failure.
#[cfg(any(test, feature = "testkit"))]
pub fn check(device: &candle_core::Device) -> Result<(), crate::testkit::Failure> {
    adamw::check::check(device)?;
    attention::check::check(device)?;
    linear_cross_entropy::check::check(device)?;
    lora_linear::check::check(device)?;
    matmul::check::check(device)?;
    rms_norm::check::check(device)?;
    rope::check::check(device)?;
    softmax::check::check(device)?;
    swiglu::check::check(device)
}
