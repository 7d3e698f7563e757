//! Gradients against finite differences.
//!
//! A product is linear in each input, so that central differences are exact but for rounding, and steps
//! are large.

use candle_core::{DType, Tensor, Var};

use super::matmul::{list, values};
use crate::tensor::{MatMulOptions, MpsMatMul, Result};

/// `sum(y * w)` for weights that tell the elements of `y` apart.
fn weighed(y: &Tensor) -> f64 {
    let weights = values(y.dims(), DType::F32, 9);
    let sum = (y * weights).unwrap().sum_all().unwrap();
    f64::from(sum.to_scalar::<f32>().unwrap())
}

/// Checks the gradients of all `inputs`.
fn check(inputs: &[Tensor], f: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let (step, tolerance) = (0.5, 1e-4);
    let vars = inputs.iter().map(|t| Var::from_tensor(t).unwrap());
    let vars: Vec<Var> = vars.collect();
    let tracked: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let y = f(&tracked).unwrap();
    let weighed_y = (&y * values(y.dims(), DType::F32, 9)).unwrap();
    let grads = weighed_y.sum_all().unwrap().backward().unwrap();
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
                let (shape, device) = (inputs[which].shape(), inputs[which].device());
                inputs[which] = Tensor::from_vec(list, shape, device).unwrap();
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

fn inputs(shapes: &[&[usize]]) -> Vec<Tensor> {
    let shapes = shapes.iter().enumerate();
    shapes
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
        check(&inputs(&shapes), |t| {
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
        check(&inputs(&[&[3, 2, 3], &[3, 4], addend]), |t| {
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
    check(&inputs(&[&[3, 5], &[4, 6]]), |t| {
        let left = t[0].narrow(1, 1, 3).unwrap();
        let right = t[1].t().unwrap().narrow(0, 2, 3).unwrap();
        left.mps_matmul(&right)
    });
}

#[test]
fn of_the_same_tensor_twice() {
    check(&inputs(&[&[3, 3]]), |t| t[0].mps_matmul(&t[0]));
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
        let [left, right] = [left, right].map(|t| Var::from_tensor(&t).unwrap());
        let y = left.mps_matmul(&right).unwrap();
        let grads = y.sum_all().unwrap().backward().unwrap();
        let wide = |t: &Tensor| t.to_dtype(DType::F32).unwrap();
        let ones = Tensor::ones((4, 4), DType::F32, left.device()).unwrap();
        let rows = wide(&left).reshape((4, 3)).unwrap();
        let product = |a: &Tensor, b: &Tensor| a.matmul(b).unwrap().to_dtype(dtype).unwrap();
        let d_right = product(&rows.t().unwrap(), &ones);
        let d_left = product(&ones, &wide(&right).t().unwrap());
        let got = [&left, &right].map(|var| list(grads.get(var).unwrap()));
        assert_eq!(got, [list(&d_left), list(&d_right)], "{dtype:?}");
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
