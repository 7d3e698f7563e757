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

#[cfg(test)]
mod tests {
    use crate::testkit::check;
    use candle_core::{DType, Device};

    /// f64 has no kernels: the references keep it.
    #[test]
    fn every_operation_takes_f64() {
        macro_rules! check_f64 {
            ($($op:ident),*) => {$(
                for case in super::$op::cases::small().iter().step_by(9) {
                    let problem = super::$op::check::problem(case);
                    check(&problem, DType::F64, &Device::Cpu).unwrap();
                }
            )*};
        }
        check_f64!(attention, linear_cross_entropy, lora_linear, matmul);
        check_f64!(rms_norm, rope, softmax, swiglu);
    }
}
