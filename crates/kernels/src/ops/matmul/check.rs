//! The formula over f64, and what products are checked on.

use super::{MatMulOptions, cases, cases::CaseShape, matmul_with, reference};
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
    if device.is_metal() {
        check_all_cases(&cases::thin(), problem, device)?;
    }
    // The products leave the range of f16, their scaled sum does not.
    let large = |case: &Case<CaseShape>| {
        let mut shape = case.shape.clone();
        shape.options.alpha *= 1e-3;
        of(&shape, inputs(case).map(|x| x.map(|x| 1e2 * x)))
    };
    check_cases(&cases, large, device)
}

/// The problem of a case.
#[must_use]
pub fn problem(case: &Case<CaseShape>) -> Problem {
    of(&case.shape, inputs(case))
}

fn inputs(case: &Case<CaseShape>) -> impl Iterator<Item = Input> {
    let shape = &case.shape;
    let a = Input::new("A", &shape.a);
    let b = Input::new("B", &shape.b).in_dtype(shape.b_dtype);
    let c = shape.c.as_ref().map(|dims| Input::new("C", dims));
    let view = case.view;
    [a, b].into_iter().chain(c).map(move |x| x.viewed(view))
}

fn of(shape: &CaseShape, inputs: impl Iterator<Item = Input>) -> Problem {
    let options = shape.options;
    let shape = shape.clone();
    Problem::new(inputs.collect(), move |x| truth(x, &shape))
        .run("matmul", move |x| {
            matmul_with(&x[0], &x[1], x.get(2), options)
        })
        .run("reference", move |x| {
            reference::forward(&x[0], &x[1], x.get(2), options)
        })
}

fn truth(x: &[Array], shape: &CaseShape) -> Array {
    let MatMulOptions { alpha, beta, .. } = shape.options;
    let (m, n, k) = shape.sizes();
    let dims = [shape.batch(), vec![m, n]].concat();
    Array::from_fn(&dims, |index| {
        let (batch, row, column) = (
            &index[..index.len() - 2],
            index[index.len() - 2],
            index[index.len() - 1],
        );
        let factor = |p: usize| {
            let a = element(&x[0], batch, row, p, shape.options.transpose_a);
            a * element(&x[1], batch, p, column, shape.options.transpose_b)
        };
        let product: f64 = (0..k).map(factor).sum();
        let c = x.get(2).map_or(0.0, |c| broadcast(c, index));
        alpha * product + beta * c
    })
}

fn element(x: &Array, batch: &[usize], row: usize, column: usize, transposed: bool) -> f64 {
    let matrix = if transposed {
        [column, row]
    } else {
        [row, column]
    };
    broadcast(x, &[batch, &matrix].concat())
}

/// The element that `index` of a larger shape repeats.
fn broadcast(x: &Array, index: &[usize]) -> f64 {
    let own = &index[index.len() - x.dims.len()..];
    let own: Vec<usize> = own
        .iter()
        .zip(&x.dims)
        .map(|(&i, &size)| i.min(size - 1))
        .collect();
    x.at(&own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::View;
    use crate::{matmul, testkit};
    use candle_core::{DType, Tensor};
    use proptest::prelude::*;

    #[test]
    fn on_the_cpu() {
        check(&Device::Cpu).unwrap();
    }

    #[test]
    fn a_weight_of_several_panels() {
        for transpose_b in [false, true] {
            let mut shape = CaseShape {
                a: vec![2, 3, if transpose_b { 500 } else { 600 }],
                b: vec![600, 500],
                b_dtype: Some(DType::BF16),
                ..CaseShape::default()
            };
            shape.options.transpose_b = transpose_b;
            let problem = problem(&crate::case::plain(shape));
            testkit::agree(&problem, DType::F32, &Device::Cpu).unwrap();
        }
    }

    fn full(value: f32, dims: &[usize]) -> Tensor {
        Tensor::full(value, dims, &Device::Cpu).unwrap()
    }

    #[test]
    fn c_is_not_read_when_beta_is_zero() {
        let options = MatMulOptions {
            beta: 0.0,
            ..MatMulOptions::default()
        };
        let c = full(f32::NAN, &[2]);
        let y = matmul_with(&full(2.0, &[2, 3]), &full(0.5, &[3, 2]), Some(&c), options).unwrap();
        assert_eq!(y.to_vec2::<f32>().unwrap(), [[3.0; 2]; 2]);
    }

    #[test]
    fn an_inner_size_of_zero_gives_zeros() {
        let y = matmul(&full(1.0, &[2, 0]), &full(1.0, &[0, 3])).unwrap();
        assert_eq!(y.to_vec2::<f32>().unwrap(), [[0.0; 3]; 2]);
    }

    #[test]
    fn linear_keeps_leading_dimensions() {
        let (x, weight, bias) = (full(1.0, &[2, 3, 5]), full(2.0, &[4, 5]), full(0.5, &[4]));
        let y = super::super::linear(&x, &weight, Some(&bias)).unwrap();
        assert_eq!(y.to_vec3::<f32>().unwrap(), [[[10.5; 4]; 3]; 2]);
    }

    #[test]
    fn inner_sizes_that_differ_are_refused() {
        let error = matmul(&full(1.0, &[2, 3]), &full(1.0, &[4, 2])).unwrap_err();
        let expected = "matmul: B must have shape (.., 3, 2), got [4, 2]";
        assert_eq!(error.to_string(), expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn on_any_shape(
            sizes in prop::array::uniform3(1..8usize),
            batch in prop::collection::vec((1..4usize, 0..3usize), 0..4),
            views in prop::array::uniform2(prop::sample::select(&View::ALL[..])),
            transposes in prop::array::uniform2(prop::bool::ANY),
        ) {
            let [m, n, k] = sizes;
            let [transpose_a, transpose_b] = transposes;
            let matrix = |rows, columns, transposed| match transposed {
                true => [columns, rows],
                false => [rows, columns],
            };
            // 1 repeats A, 2 repeats B.
            let lead = |repeated| batch.iter().map(|&(size, r)| if r == repeated { 1 } else { size }).collect::<Vec<_>>();
            let shape = CaseShape {
                a: [&lead(1)[..], &matrix(m, k, transpose_a)].concat(),
                b: [&lead(2)[..], &matrix(k, n, transpose_b)].concat(),
                options: MatMulOptions { transpose_a, transpose_b, ..MatMulOptions::default() },
                ..CaseShape::default()
            };
            let inputs = [
                Input::new("A", &shape.a).viewed(views[0]),
                Input::new("B", &shape.b).viewed(views[1]),
            ];
            testkit::check(&of(&shape, inputs.into_iter()), DType::F32, &Device::Cpu).unwrap();
        }
    }
}
