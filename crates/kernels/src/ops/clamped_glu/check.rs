//! The formula over f64, and what the gate is checked on.

use super::cases::{self, CaseShape};
use super::{Clamp, clamped_glu};
use crate::case::Case;
use crate::testkit::{Array, Failure, Input, Problem, check_cases};
use candle_core::Device;

/// Checks all cases on `device`.
///
/// # Errors
/// The first failure.
pub fn check(device: &Device) -> Result<(), Failure> {
    check_cases(&cases::small(), problem, device)
}

/// The problem of a case.
#[must_use]
pub fn problem(case: &Case<CaseShape>) -> Problem {
    let CaseShape { dims, limit } = case.shape.clone();
    // Not where a bound begins: there is no slope.
    let away = move |x: f64| match (x.abs() - limit).abs() < 0.02 {
        true => 0.9 * x,
        false => x,
    };
    let input = |name| Input::new(name, &dims).map(away).viewed(case.view);
    let clamp = Clamp {
        alpha: 1.702,
        limit,
    };
    let truth = move |x: &[Array]| {
        Array::from_fn(&x[0].dims, |i| {
            let (g, u) = (x[0].at(i).min(limit), x[1].at(i).clamp(-limit, limit));
            g / (1.0 + (-clamp.alpha * g).exp()) * (u + 1.0)
        })
    };
    let problem = Problem::new(vec![input("gate"), input("up")], truth);
    problem.run("clamped_glu", move |x| clamped_glu(&x[0], &x[1], clamp))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_the_cpu() {
        check(&Device::Cpu).unwrap();
    }
}
