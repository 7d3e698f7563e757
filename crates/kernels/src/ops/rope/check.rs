//! The formula over f64, and what the rotation is checked on.

mod appended;

use super::{RopePairs, cases, cases::CaseShape, reference, rope, rope_pair};
use crate::case::{Case, View};
use crate::testkit::{Array, Failure, Input, Problem, check_all_cases, check_cases};
use candle_core::{DType, Device, Tensor};

/// Checks all cases on `device`.
///
/// # Errors
/// The first failure.
pub fn check(device: &Device) -> Result<(), Failure> {
    let cases = cases::small();
    check_cases(&cases, problem, device)?;
    check_all_cases(&cases::in_fours(), problem, device)?;
    let large = |case: &Case<CaseShape>| {
        let x = x(case).map(|x| 3e4 * x);
        of(x, tables(case, None), case.shape.pairs)
    };
    check_cases(&cases, large, device)?;
    let mixed = |case: &Case<CaseShape>| {
        let tables = tables(case, Some(DType::F32));
        of(x(case), tables, case.shape.pairs)
    };
    check_cases(&cases, mixed, device)?;
    check_cases(&cases, pair, device)?;
    appended::check(device)
}

/// Queries and keys in one launch. They are heads of one tensor, and so are the results: both have a gradient, or none.
fn pair(case: &Case<CaseShape>) -> Problem {
    let pairs = case.shape.pairs;
    let [b, h, t, d] = case.shape.dims();
    let n_keys = h % 2 + 1;
    let x = Input::new("x", &[b, h + n_keys, t, d]).viewed(case.view);
    let [cos, sin] = tables(case, None);
    let truth = move |x: &[Array]| truth(&x[0], &x[1], &x[2], pairs);
    Problem::new(vec![x, cos, sin], truth)
        .run("rope_pair", move |x| {
            let [q, k] = [x[0].narrow(1, 0, h)?, x[0].narrow(1, h, n_keys)?];
            let rotated = rope_pair([&q, &k], [&x[1], &x[2]], pairs)?;
            Ok(Tensor::cat(&rotated, 1)?)
        })
        .run("reference", move |x| {
            reference::forward(&x[0], &x[1], &x[2], pairs)
        })
}

/// The problem of a case.
#[must_use]
pub fn problem(case: &Case<CaseShape>) -> Problem {
    of(x(case), tables(case, None), case.shape.pairs)
}

fn x(case: &Case<CaseShape>) -> Input {
    Input::new("x", &case.shape.dims()).viewed(case.view)
}

/// Tables that are not made of angles: the formula holds for any numbers, and errors show in more of them.
fn tables(case: &Case<CaseShape>, dtype: Option<DType>) -> [Input; 2] {
    ["cos", "sin"].map(|name| table(name, &case.shape, case.view).in_dtype(dtype))
}

fn table(name: &'static str, shape: &CaseShape, view: View) -> Input {
    Input::new(name, &shape.table_dims())
        .viewed(view)
        .constant()
}

fn of(x: Input, [cos, sin]: [Input; 2], pairs: RopePairs) -> Problem {
    let truth = move |x: &[Array]| truth(&x[0], &x[1], &x[2], pairs);
    Problem::new(vec![x, cos, sin], truth)
        .run("rope", move |x| rope(&x[0], &x[1], &x[2], pairs))
        .run("reference", move |x| {
            reference::forward(&x[0], &x[1], &x[2], pairs)
        })
}

fn truth(x: &Array, cos: &Array, sin: &Array, pairs: RopePairs) -> Array {
    let half = cos.dims[cos.dims.len() - 1];
    Array::from_fn(&x.dims, |index| {
        let &[b, h, t, d] = index else {
            return f64::NAN;
        };
        if d >= 2 * half {
            return x.at(index);
        }
        let (pair, is_first, other) = match pairs {
            RopePairs::Halves => (d % half, d < half, (d + half) % (2 * half)),
            RopePairs::Interleaved => (d / 2, d % 2 == 0, d ^ 1),
        };
        let entry = match cos.dims.len() {
            2 => vec![t, pair],
            _ => vec![b, t, pair],
        };
        let (own, other) = (x.at(index), x.at(&[b, h, t, other]));
        match is_first {
            true => own * cos.at(&entry) - other * sin.at(&entry),
            false => own * cos.at(&entry) + other * sin.at(&entry),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit;
    use proptest::prelude::*;

    #[test]
    fn on_the_cpu() {
        check(&Device::Cpu).unwrap();
    }

    #[test]
    fn a_table_for_other_positions_is_refused() {
        let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
        let (x, cos, sin) = (zeros(&[1, 1, 3, 4]), zeros(&[3, 2]), zeros(&[4, 2]));
        let error = rope(&x, &cos, &sin, RopePairs::Halves).unwrap_err();
        let expected = "rope: sin must have shape (3, 2) or (1, 3, 2), got [4, 2]";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_table_for_wider_heads_is_refused() {
        let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
        for width in [0, 3] {
            let (x, table) = (zeros(&[1, 1, 3, 5]), zeros(&[3, width]));
            let error = rope(&x, &table, &table, RopePairs::Halves).unwrap_err();
            let expected =
                "rope: cos must have shape (3, R/2) or (1, 3, R/2) with R of 2 to 5, got ";
            assert_eq!(error.to_string(), format!("{expected}[3, {width}]"));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn on_any_shape(
            sizes in prop::array::uniform4(1..6usize),
            rest in 0..4usize,
            table_per_row: bool,
            pairs in prop::sample::select(&RopePairs::ALL[..]),
            view in prop::sample::select(&View::ALL[..]),
        ) {
            let [batch, heads, tokens, half] = sizes;
            let (rotated, width) = (2 * half, 2 * half + rest);
            let shape = CaseShape { batch, heads, tokens, width, rotated, table_per_row, pairs };
            let x = Input::new("x", &shape.dims()).viewed(view);
            let tables = ["cos", "sin"].map(|name| table(name, &shape, View::Contiguous));
            testkit::check(&of(x, tables, pairs), DType::F32, &Device::Cpu).unwrap();
        }
    }
}
