//! Gradients against finite differences.
//!
//! Every operation here is linear or smooth in each input, and central differences of a product are
//! exact but for rounding, so steps are large.

use candle_core::{DType, Tensor, Var};

use super::matmul::{list, values};
use crate::tensor::{MatMulOptions, MpsMatMul, MpsSoftMax, Result};

/// `sum(y * w)` for weights that tell the elements of `y` apart.
fn weighed(y: &Tensor) -> f64 {
    let weights = values(y.dims(), DType::F32, 9);
    let sum = (y.to_dtype(DType::F32).unwrap() * weights)
        .unwrap()
        .sum_all()
        .unwrap();
    f64::from(sum.to_scalar::<f32>().unwrap())
}

/// Checks the gradients of all `inputs`, `step` apart and `tolerance` off at most.
fn check(
    inputs: &[Tensor],
    (step, tolerance): (f64, f64),
    f: impl Fn(&[Tensor]) -> Result<Tensor>,
) {
    let vars: Vec<Var> = inputs
        .iter()
        .map(|t| Var::from_tensor(t).unwrap())
        .collect();
    let tracked: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let y = f(&tracked).unwrap();
    let weights = values(y.dims(), DType::F32, 9);
    let grads = (&y * weights)
        .unwrap()
        .sum_all()
        .unwrap()
        .backward()
        .unwrap();
    for (which, var) in vars.iter().enumerate() {
        let grad = grads
            .get(var)
            .unwrap_or_else(|| panic!("no gradient for input {which}"));
        assert_eq!(grad.dims(), inputs[which].dims());
        for (i, got) in list(grad).into_iter().enumerate() {
            let moved = |by: f64| {
                let mut inputs = inputs.to_vec();
                let mut list = list(&inputs[which]);
                list[i] += by as f32;
                inputs[which] =
                    Tensor::from_vec(list, inputs[which].shape(), inputs[which].device()).unwrap();
                weighed(&f(&inputs).unwrap())
            };
            let expected = (moved(step) - moved(-step)) / (2.0 * step);
            let off = (f64::from(got) - expected).abs();
            assert!(
                off <= tolerance * expected.abs().max(1.0),
                "{which}[{i}]: {got} {expected}"
            );
        }
    }
}

const EXACT: (f64, f64) = (0.5, 1e-4);

fn inputs(shapes: &[&[usize]]) -> Vec<Tensor> {
    shapes
        .iter()
        .enumerate()
        .map(|(i, shape)| values(shape, DType::F32, i))
        .collect()
}

/// Stored shapes of left and right, and their transpositions.
const CASES: [([&[usize]; 2], [bool; 2]); 8] = [
    ([&[2, 3], &[3, 4]], [false, false]),
    ([&[3, 2], &[3, 4]], [true, false]),
    ([&[2, 3], &[4, 3]], [false, true]),
    ([&[3, 2], &[4, 3]], [true, true]),
    ([&[2, 2, 3], &[4, 3]], [false, true]),
    ([&[2, 3, 2], &[3, 4]], [true, false]),
    ([&[2, 1, 2, 3], &[3, 3, 2]], [false, false]),
    ([&[1, 3], &[2, 3, 2]], [false, false]),
];

#[test]
fn of_factors() {
    for (shapes, [transpose_left, transpose_right]) in CASES {
        check(&inputs(&shapes), EXACT, |t| {
            let alpha = 0.5;
            let options = MatMulOptions {
                transpose_left,
                transpose_right,
                alpha,
                ..Default::default()
            };
            t[0].mps_matmul_with(&t[1], &options)
        });
    }
}

#[test]
fn of_addends() {
    for addend in [&[4][..], &[2, 1], &[3, 2, 4], &[1, 1, 1]] {
        check(&inputs(&[&[3, 2, 3], &[3, 4], addend]), EXACT, |t| {
            let addend = Some(&t[2]);
            let options = MatMulOptions {
                alpha: -2.0,
                beta: 1.5,
                addend,
                ..Default::default()
            };
            t[0].mps_matmul_with(&t[1], &options)
        });
    }
}

#[test]
fn of_views() {
    check(&inputs(&[&[3, 5], &[4, 6]]), EXACT, |t| {
        let left = t[0].narrow(1, 1, 3).unwrap();
        let right = t[1].t().unwrap().narrow(0, 2, 3).unwrap();
        left.mps_matmul(&right)
    });
}

#[test]
fn of_the_same_tensor_twice() {
    check(&inputs(&[&[3, 3]]), EXACT, |t| t[0].mps_matmul(&t[0]));
}

#[test]
fn of_soft_max() {
    let smooth = (1e-2, 2e-3);
    for shape in [&[5][..], &[2, 3], &[2, 1, 4]] {
        check(&inputs(&[shape]), smooth, |t| t[0].mps_softmax());
        check(&inputs(&[shape]), smooth, |t| t[0].mps_log_softmax());
    }
    check(&inputs(&[&[4, 3]]), smooth, |t| {
        t[0].t().unwrap().mps_softmax()
    });
}

#[test]
fn only_what_is_tracked_has_one() {
    let [left, right] = [&[2, 3][..], &[3, 2]].map(|shape| values(shape, DType::F32, 1));
    let var = Var::from_tensor(&left).unwrap();
    let y = var.mps_matmul(&right).unwrap();
    let grads = y.sum_all().unwrap().backward().unwrap();
    assert!(grads.get(&var).is_some() && grads.get(&right).is_none());
}

#[test]
fn in_halves() {
    for dtype in [DType::F16, DType::BF16] {
        let [left, right] = [&[2, 2, 3][..], &[3, 4]].map(|shape| values(shape, dtype, 1));
        let (left, right) = (
            Var::from_tensor(&left).unwrap(),
            Var::from_tensor(&right).unwrap(),
        );
        let y = left.mps_matmul(&right).unwrap();
        let grads = y.sum_all().unwrap().backward().unwrap();
        let wide = |t: &Tensor| t.to_dtype(DType::F32).unwrap();
        let ones = Tensor::ones((4, 4), DType::F32, left.device()).unwrap();
        let rows = wide(&left).reshape((4, 3)).unwrap();
        let d_right = rows
            .t()
            .unwrap()
            .matmul(&ones)
            .unwrap()
            .to_dtype(dtype)
            .unwrap();
        let d_left = ones
            .matmul(&wide(&right).t().unwrap())
            .unwrap()
            .to_dtype(dtype)
            .unwrap();
        assert_eq!(
            list(grads.get(&right).unwrap()),
            list(&d_right),
            "{dtype:?}"
        );
        assert_eq!(list(grads.get(&left).unwrap()), list(&d_left), "{dtype:?}");
    }
}

#[test]
fn without_elements() {
    let [left, right] = [&[2, 0][..], &[0, 3]].map(|shape| values(shape, DType::F32, 1));
    let left = Var::from_tensor(&left).unwrap();
    let y = left.mps_matmul(&right).unwrap();
    let grads = y.sum_all().unwrap().backward().unwrap();
    assert_eq!(grads.get(&left).unwrap().dims(), [2, 0]);
}
