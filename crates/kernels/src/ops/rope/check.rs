//! The formula over f64, and what the rotation is checked on.

use super::{cases, cases::Shape, reference, rope};
use crate::case::{Case, View};
use crate::testkit::{Array, Failure, Input, Problem, check_cases};
use candle_core::{DType, Device};

/// Checks all cases on `device`.
///
/// # Errors
/// The first failure.
pub fn check(device: &Device) -> Result<(), Failure> {
    let cases = cases::small();
    check_cases(&cases, problem, device)?;
    let large = |case: &Case<Shape>| of(x(case).map(|x| 3e4 * x), tables(case, None));
    check_cases(&cases, large, device)?;
    let mixed = |case: &Case<Shape>| of(x(case), tables(case, Some(DType::F32)));
    check_cases(&cases, mixed, device)
}

/// The problem of a case.
#[must_use]
pub fn problem(case: &Case<Shape>) -> Problem {
    of(x(case), tables(case, None))
}

fn x(case: &Case<Shape>) -> Input {
    Input::new("x", &case.shape.dims()).viewed(case.view)
}

/// Not from angles: the formula holds for any numbers, and errors show in more of them.
fn tables(case: &Case<Shape>, dtype: Option<DType>) -> [Input; 2] {
    ["cos", "sin"].map(|name| table(name, &case.shape, case.view).in_dtype(dtype))
}

fn table(name: &'static str, shape: &Shape, view: View) -> Input {
    Input::new(name, &shape.table_dims())
        .viewed(view)
        .constant()
}

fn of(x: Input, [cos, sin]: [Input; 2]) -> Problem {
    Problem::new(vec![x, cos, sin], |x| truth(&x[0], &x[1], &x[2]))
        .run("rope", |x| rope(&x[0], &x[1], &x[2]))
        .run("reference", |x| reference::forward(&x[0], &x[1], &x[2]))
}

fn truth(x: &Array, cos: &Array, sin: &Array) -> Array {
    let half = x.dims[3] / 2;
    Array::from_fn(&x.dims, |index| {
        let &[b, h, t, d] = index else {
            return f64::NAN;
        };
        let i = d % half;
        let entry = match cos.dims.len() {
            2 => vec![t, i],
            _ => vec![b, t, i],
        };
        let (cos, sin) = (cos.at(&entry), sin.at(&entry));
        let (first, second) = (x.at(&[b, h, t, i]), x.at(&[b, h, t, i + half]));
        match d < half {
            true => first * cos - second * sin,
            false => second * cos + first * sin,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit;
    use candle_core::Tensor;
    use proptest::prelude::*;

    #[test]
    fn on_the_cpu() {
        check(&Device::Cpu).unwrap();
    }

    #[test]
    fn a_table_for_other_positions_is_refused() {
        let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
        let (x, cos, sin) = (zeros(&[1, 1, 3, 4]), zeros(&[3, 2]), zeros(&[4, 2]));
        let error = rope(&x, &cos, &sin).unwrap_err().to_string();
        let expected = "rope: sin must have shape (3, 2) or (1, 3, 2), got [4, 2]";
        assert_eq!(error, expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn on_any_shape(
            sizes in prop::array::uniform4(1..6usize),
            table_per_row: bool,
            view in prop::sample::select(&View::ALL[..]),
        ) {
            let [batch, heads, tokens, half] = sizes;
            let shape = Shape { batch, heads, tokens, width: 2 * half, table_per_row };
            let x = Input::new("x", &shape.dims()).viewed(view);
            let tables = ["cos", "sin"].map(|name| table(name, &shape, View::Contiguous));
            testkit::check(&of(x, tables), DType::F32, &Device::Cpu).unwrap();
        }
    }
}
