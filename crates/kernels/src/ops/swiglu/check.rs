//! The formula over f64, and what the gate is checked on.

use super::{cases, cases::Shape, reference, swiglu};
use crate::case::Case;
use crate::testkit::{Array, Failure, Input, Problem, check_cases};
use candle_core::Device;

/// Checks all cases on `device`.
///
/// # Errors
/// The first failure.
pub fn check(device: &Device) -> Result<(), Failure> {
    let cases = cases::small();
    check_cases(&cases, problem, device)?;
    // Both ends of the sigmoid, and exponentials that overflow float32.
    let large = |case: &Case<Shape>| of(input("gate", case).map(|x| 200.0 * x), input("up", case));
    check_cases(&cases, large, device)
}

/// The problem of a case.
#[must_use]
pub fn problem(case: &Case<Shape>) -> Problem {
    of(input("gate", case).map(|x| 4.0 * x), input("up", case))
}

fn input(name: &'static str, case: &Case<Shape>) -> Input {
    Input::new(name, &case.shape.dims).viewed(case.view)
}

fn of(gate: Input, up: Input) -> Problem {
    Problem::new(vec![gate, up], |x| truth(&x[0], &x[1]))
        .run("swiglu", |x| swiglu(&x[0], &x[1]))
        .run("reference", |x| reference::forward(&x[0], &x[1]))
}

fn truth(gate: &Array, up: &Array) -> Array {
    let silu = |z: f64| z / (1.0 + (-z).exp());
    Array::from_fn(&gate.dims, |i| silu(gate.at(i)) * up.at(i))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::View;
    use crate::testkit;
    use candle_core::DType;
    use proptest::prelude::*;

    #[test]
    fn on_the_cpu() {
        check(&Device::Cpu).unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn on_any_shape(
            dims in prop::collection::vec(1..9usize, 0..4),
            gate in prop::sample::select(&View::ALL[..]),
            up in prop::sample::select(&View::ALL[..]),
        ) {
            let gate = Input::new("gate", &dims).viewed(gate);
            let up = Input::new("up", &dims).viewed(up);
            testkit::check(&of(gate, up), DType::F32, &Device::Cpu).unwrap();
        }
    }
}
