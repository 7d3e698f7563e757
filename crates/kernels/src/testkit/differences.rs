//! Gradients of the truth by central differences.

use super::{Array, Failure, Problem, Tolerance};
use crate::random;

/// Up to this many elements each one is moved by itself.
const ELEMENTWISE: usize = 128;

/// Directions of larger inputs.
const DIRECTIONS: u64 = 8;

/// Distance of the points. Of fourth order, the formula errs by `step^4 / 30` times the fifth
/// derivative and by the rounding of f64 over the step: both about 1e-12 here.
const STEP: f64 = 5e-4;

/// The gradient of `sum(truth * upstream)` for one input.
pub(super) enum Gradient {
    Elements(Array),
    Along {
        /// Directions of elements 1 and -1.
        directions: Vec<Vec<f64>>,
        slopes: Vec<f64>,
    },
}

/// The gradient of every differentiable input.
pub(super) fn gradients(
    problem: &Problem,
    values: &[Array],
    upstream: &Array,
) -> Vec<Option<Gradient>> {
    let inputs = problem.inputs.iter().enumerate();
    inputs
        .map(|(input, i)| {
            let mut loss = Loss {
                problem,
                values: values.to_vec(),
                upstream,
                input,
            };
            i.differentiable.then(|| loss.gradient())
        })
        .collect()
}

impl Gradient {
    pub(super) fn compare(
        &self,
        tolerance: Tolerance,
        what: &str,
        got: &Array,
    ) -> Result<(), Failure> {
        match self {
            Self::Elements(want) => tolerance.compare(what, got, want),
            Self::Along { directions, slopes } => {
                let got: Vec<f64> = directions.iter().map(|d| dot(d, &got.data)).collect();
                tolerance.compare_norm(what, &got, slopes)
            }
        }
    }
}

/// `sum(truth * upstream)` as a function of one input.
struct Loss<'a> {
    problem: &'a Problem,
    values: Vec<Array>,
    upstream: &'a Array,
    input: usize,
}

impl Loss<'_> {
    fn gradient(&mut self) -> Gradient {
        let n = self.values[self.input].data.len();
        if n <= ELEMENTWISE {
            let dims = self.values[self.input].dims.clone();
            let data = (0..n).map(|i| self.slope(&unit(i, n))).collect();
            return Gradient::Elements(Array { dims, data });
        }
        let directions: Vec<_> = (0..DIRECTIONS).map(|seed| signs(seed, n)).collect();
        let slopes = directions.iter().map(|d| self.slope(d)).collect();
        Gradient::Along { directions, slopes }
    }

    fn slope(&mut self, direction: &[f64]) -> f64 {
        let mut difference = |step| self.at(direction, step) - self.at(direction, -step);
        (8.0 * difference(STEP) - difference(2.0 * STEP)) / (12.0 * STEP)
    }

    fn at(&mut self, direction: &[f64], step: f64) -> f64 {
        let input = self.input;
        let moved = self.values[input].data.iter().zip(direction);
        let moved = moved.map(|(x, d)| x + step * d).collect();
        let original = std::mem::replace(&mut self.values[input].data, moved);
        let result = (self.problem.truth)(&self.values);
        self.values[input].data = original;
        dot(&result.data, &self.upstream.data)
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn unit(element: usize, n: usize) -> Vec<f64> {
    (0..n).map(|i| f64::from(u8::from(i == element))).collect()
}

fn signs(seed: u64, n: usize) -> Vec<f64> {
    let sign = |i| {
        if random::uniform(seed, i) < 0.5 {
            -1.0
        } else {
            1.0
        }
    };
    (0..n as u64).map(sign).collect()
}
