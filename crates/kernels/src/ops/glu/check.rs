//! The formula over f64, and what the gate is checked on.

use super::{Activation, cases, cases::CaseShape, glu, reference};
use crate::case::Case;
use crate::testkit::{Array, Failure, Input, Problem, check_all_cases, check_cases};
use candle_core::Device;

/// Checks all cases on `device`.
///
/// # Errors
/// The first failure.
pub fn check(device: &Device) -> Result<(), Failure> {
    let cases = cases::small();
    check_cases(&cases, problem, device)?;
    check_all_cases(&cases::in_fours(), problem, device)?;
    // Both ends of the sigmoid, and exponentials that overflow float32.
    check_cases(&cases, |case| scaled(case, 200.0), device)
}

/// The problem of a case.
#[must_use]
pub fn problem(case: &Case<CaseShape>) -> Problem {
    scaled(case, 4.0)
}

fn scaled(case: &Case<CaseShape>, size: f64) -> Problem {
    let gate = input("gate", case).map(|x| size * x);
    of(gate, input("up", case), case.shape.activation)
}

fn input(name: &'static str, case: &Case<CaseShape>) -> Input {
    Input::new(name, &case.shape.dims).viewed(case.view)
}

fn of(gate: Input, up: Input, activation: Activation) -> Problem {
    Problem::new(vec![gate, up], move |x| truth(&x[0], &x[1], activation))
        .run(activation.layer(), move |x| glu(&x[0], &x[1], activation))
        .run("reference", move |x| {
            reference::forward(&x[0], &x[1], activation)
        })
}

fn truth(gate: &Array, up: &Array, activation: Activation) -> Array {
    let silu = |z: f64| z / (1.0 + (-z).exp());
    let inner = |z: f64| (2.0 / std::f64::consts::PI).sqrt() * (z + 0.044715 * z.powi(3));
    let gelu = |z: f64| 0.5 * z * (1.0 + inner(z).tanh());
    Array::from_fn(&gate.dims, |i| match activation {
        Activation::Silu => silu(gate.at(i)) * up.at(i),
        Activation::GeluTanh => gelu(gate.at(i)) * up.at(i),
    })
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
            activation in prop::sample::select(&Activation::ALL[..]),
        ) {
            let gate = Input::new("gate", &dims).viewed(gate);
            let up = Input::new("up", &dims).viewed(up);
            testkit::check(&of(gate, up, activation), DType::F32, &Device::Cpu).unwrap();
        }
    }
}
